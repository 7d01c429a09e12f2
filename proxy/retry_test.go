package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A port that refuses connections: the request goes elsewhere, at once.
func TestRefusedGoesElsewhere(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	dead := closedPort(t)
	f.pool.Add("dead", dead)
	f.add(newBackend(t, echoSlowly()))
	client := newClient(t)
	for range 50 {
		if err := echoOnce(client, f.url("/"), []byte("body"), 100); err != nil {
			t.Fatal(err)
		}
	}
	s := f.pool.Snapshot()
	if s.Retried == 0 || s.Retried > 10 || s.Backends[1].State != "ejected" {
		t.Errorf("retried %d, back ends %+v", s.Retried, s.Backends)
	}
}

// With the only back end refusing, requests wait for it: an application may
// listen a little after it counts as ready.
func TestRefusedIsWaitedFor(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	address := closedPort(t)
	f.pool.Add("late", address)
	got := make(chan string, 1)
	client := newClient(t)
	go func() {
		if err := echoOnce(client, f.url("/"), []byte("body"), 10); err != nil {
			got <- err.Error()
		}
		close(got)
	}()
	eventually(t, "the request is held", func() bool { return f.pool.Snapshot().Waiting == 1 })
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: echoSlowly()}
	go server.Serve(listener)
	defer server.Close()
	if err := <-got; err != "" {
		t.Error(err)
	}
}

// A connection that the back end ends instead of answering: a GET goes
// elsewhere, a POST may have been done and does not.
func TestBrokenIsRetriedOnlyWhereHarmless(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	bad := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }))
	good := newBackend(t, answering("good"))
	f.add(bad)
	f.add(good)
	client := newClient(t)
	posts := 0
	for range 40 {
		if code, body := get(t, client, f.url("/")); code != 200 || body != "good" {
			t.Fatalf("GET: %d %s", code, body)
		}
		before := bad.served.Load()
		res, err := client.Post(f.url("/"), "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		switch reached := bad.served.Load() - before; {
		case reached == 0 && res.StatusCode == 200:
		case reached == 1 && res.StatusCode == 502 && strings.Contains(string(body), "application ended the connection"):
			posts++
		default:
			t.Fatalf("POST: reached the bad one %d times, %d %s", reached, res.StatusCode, body)
		}
	}
	if posts == 0 {
		t.Error("no POST went to the bad back end, this test shows nothing")
	}
}

// Nor may Go's transport by itself send a request a second time to a back end that
// has had it, whatever the request says of that.
func TestRequestThatWasHeardIsNotSentAgain(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "body"} {
		f := newFront(t, HTTP, Options{})
		heard := make(chan string, 10)
		f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			heard <- r.URL.Path + r.Header.Get("Idempotency-Key") + string(body)
			if r.URL.Path == "/twice" {
				panic(http.ErrAbortHandler)
			}
		})))
		transport := newHTTP2Transport(t) // which is not for the lean path
		for _, path := range []string{"/first", "/twice"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url(path), strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Idempotency-Key", "one")
			res, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if got := <-heard; got != path+"one"+body || (res.StatusCode == http.StatusOK) != (path == "/first") {
				t.Errorf("heard %q of %q, %q: status %d", got, path, body, res.StatusCode)
			}
		}
		if len(heard) > 0 {
			t.Errorf("heard once more %q", <-heard)
		}
	}
}

func newHTTP2Transport(t *testing.T) *http.Transport {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.pool.Expect(expectation("deployment web is scaled to zero"))
	res, err := newClient(t).Get(f.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" ||
		string(body) != "503 service unavailable: deployment web is scaled to zero\n" {
		t.Errorf("%s, Retry-After %q: %s", res.Status, res.Header.Get("Retry-After"), body)
	}
}

// closedPort is an address where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// An idle connection is closed by us before an application would: a POST that
// met the application's own closing would be lost.
func TestIdleUpstreamIsClosedFirst(t *testing.T) {
	t.Parallel()
	var open atomic.Int64
	f := newFront(t, HTTP, Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			open.Add(1)
		}
		return &countedConn{Conn: conn, open: &open}, err
	}})
	b := newBackend(t, echoSlowly())
	f.add(b)
	client := newClient(t)
	if err := echoOnce(client, f.url("/"), []byte("x"), 1); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	eventually(t, "the idle connection is closed", func() bool { return open.Load() == 0 })
	if d := time.Since(start); d >= 5*time.Second {
		t.Errorf("it was closed after %s, which leaves a race with the application", d)
	}
}

// What is not HTTP must not upset the server, which would leave the claim behind,
// and is not waited for to become HTTP.
func TestImpossibleAnswer(t *testing.T) {
	t.Parallel()
	for says, complaint := range map[string]string{
		"HTTP/1.1 042 Odd\r\nContent-Length: 0\r\n\r\n": "042 Odd",
		"220 mail.example\r\n":                          "malformed first line",
	} {
		f := newFront(t, HTTP, Options{})
		listener := listenRaw(t, func(conn net.Conn) {
			in := bufio.NewReader(conn)
			if _, err := http.ReadRequest(in); err == nil {
				io.WriteString(conn, says)
				in.Peek(1) // until the other side has had enough
			}
		})
		f.pool.Add("odd", listener.Addr().String())
		if code, body := get(t, newClient(t), f.url("/")); code != http.StatusBadGateway || !strings.Contains(body, complaint) {
			t.Errorf("%q: got %d %s", says, code, body)
		}
		if n := f.pool.InFlight("odd"); n != 0 {
			t.Errorf("%q: %d in flight", says, n)
		}
	}
}
