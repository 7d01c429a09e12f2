package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"skiff/proxy/pool"
)

func TestHeadersTowardsTheBackEnd(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	var got *http.Request
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = r })))

	raw := "GET /a%2Fb/../c;d?x=1&y=%zz HTTP/1.1\r\nHost: web.example:8080\r\n" +
		"Connection: keep-alive, X-Listed\r\nX-Listed: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers, deflate\r\n" +
		"Proxy-Authorization: secret\r\nX-Kept: 1\r\nX-Kept: 2\r\n" +
		"X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-Proto: https\r\n\r\n"
	res := sendRaw(t, f.address, raw)
	if res.StatusCode != 200 {
		t.Fatalf("status %s", res.Status)
	}
	want := http.Header{
		"X-Kept":            {"1", "2"},
		"Te":                {"trailers"},
		"X-Forwarded-For":   {"10.0.0.1, 127.0.0.1"},
		"X-Forwarded-Host":  {"web.example:8080"},
		"X-Forwarded-Proto": {"https"},
		"Forwarded":         {`for=10.0.0.1, for=127.0.0.1;host="web.example:8080";proto=http`},
	}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if got.RequestURI != "/a%2Fb/../c;d?x=1&y=%zz" || got.Host != "web.example:8080" {
		t.Errorf("request for %s at %s", got.RequestURI, got.Host)
	}
}

func TestHeadersTowardsTheClient(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "X-Listed")
		w.Header().Set("X-Listed", "1")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header()["Content-Type"] = nil
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "<html>")
	})))
	res, err := newClient(t).Get(f.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	h := res.Header
	if res.StatusCode != http.StatusTeapot || h.Get("X-Listed") != "" || h.Get("Keep-Alive") != "" ||
		len(h["Set-Cookie"]) != 2 || h["Content-Type"] != nil || res.ContentLength != 6 {
		t.Errorf("%s %v, length %d", res.Status, h, res.ContentLength)
	}
}

func TestOptionsForTheServerAsAWhole(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	var uri string
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { uri = r.RequestURI })))
	// net/http's server answers OPTIONS * itself unless told not to.
	if res := sendRaw(t, f.address, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"); res.StatusCode != 200 {
		t.Errorf("status %s, URI %s", res.Status, uri)
	}
	if res := sendRaw(t, f.address, "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n"); res.StatusCode != 405 {
		t.Errorf("CONNECT: status %s", res.Status)
	}
}

func TestClientGone(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	seen := make(chan struct{})
	ended := make(chan struct{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(seen)
		<-r.Context().Done()
		close(ended)
	})))
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-seen; leave() }()
	r, _ := http.NewRequestWithContext(ctx, "GET", f.url("/"), nil)
	if _, err := newClient(t).Do(r); err == nil {
		t.Fatal("got an answer")
	}
	<-ended // the back end hears of it
	eventually(t, "counted as the client's doing", func() bool { return f.pool.Snapshot().Failures[pool.ClientGone] == 1 })
	if s := f.pool.Snapshot(); s.Lost() != 0 {
		t.Errorf("failures %v", s.Failures)
	}
}

// A request is not sent for a client that left while it waited, however much of
// its body had come; that of one that stays is, and whole.
func TestClientGoneWhileWaiting(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	expectComing(f)
	body := strings.Repeat("x", 5*inboundBytes)
	whole := fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	stays := dialRaw(t, f.address)
	io.WriteString(stays, whole)
	eventually(t, "the first request waits", func() bool { return f.pool.Snapshot().Waiting == 1 })
	leave := []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	}
	if runtime.GOOS == "linux" { // elsewhere the end cannot be seen behind the body
		leave = append(leave, whole)
	}
	for i, request := range leave {
		conn := dialRaw(t, f.address)
		io.WriteString(conn, request)
		eventually(t, "the request waits", func() bool { return f.pool.Snapshot().Waiting == 2 })
		conn.Close()
		eventually(t, fmt.Sprintf("no place is taken by %.60q", request), func() bool {
			s := f.pool.Snapshot()
			return s.Waiting == 1 && s.Failures[pool.ClientGone] == uint64(i+1)
		})
	}
	b := newBackend(t, echoSlowly())
	f.add(b)
	res, err := http.ReadResponse(bufio.NewReader(stays), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != body || b.served.Load() != 1 {
		t.Errorf("%d bytes, %v; the back end has seen %d requests", len(got), err, b.served.Load())
	}
}

func TestClientConnectionIsKept(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	one, two := newBackend(t, answering("1")), newBackend(t, answering("2"))
	f.add(one)
	dials := 0
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
	defer client.CloseIdleConnections()
	if _, body := get(t, client, f.url("/")); body != "1" {
		t.Fatal(body)
	}
	f.add(two)
	f.drain(t, one)
	one.rudeStop()
	if _, body := get(t, client, f.url("/")); body != "2" || dials != 1 {
		t.Errorf("got %q over %d connections, want 2 over 1", body, dials)
	}
}

func dialRaw(t testing.TB, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

func sendRaw(t testing.TB, address, request string) *http.Response {
	t.Helper()
	conn := dialRaw(t, address)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}
