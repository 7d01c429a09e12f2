package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestPortInUse(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := taken.Addr().String()
	l := Listener{Name: "web", Address: address, Mode: HTTP, Pool: f.pool}
	if err := f.Listen(t.Context(), l); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
	taken.Close()
	if err := f.Listen(t.Context(), l); err != nil {
		t.Errorf("once the port is free: %v", err)
	}
}

// However many connections there were, few goroutines wait for the next ones.
func TestAcceptorsAreBounded(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, answering("ok")))
	for range 2 {
		conns := make([]net.Conn, maxSpare+10)
		for i := range conns {
			conns[i] = dialRaw(t, f.address)
			fmt.Fprint(conns[i], "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
		}
		for _, conn := range conns {
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		for _, conn := range conns {
			conn.Close()
		}
		if err := f.Empty(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	spare := func() int {
		f.spareMu.Lock()
		defer f.spareMu.Unlock()
		return f.spare
	}
	eventually(t, "all but a few goroutines have ended", func() bool { return spare() == maxSpare })
	f.Close(f.address)
	eventually(t, "the others have ended as well", func() bool { return spare() == 0 })
}

func TestListenersComeAndGo(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, answering("ok")))
	client := newClient(t)
	get(t, client, f.url("/"))

	second := f.listen(t, Listener{Name: "second", Mode: HTTP, Pool: f.pool})
	idle := dialRaw(t, second)
	io.WriteString(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	answers := bufio.NewReader(idle)
	if res, err := http.ReadResponse(answers, nil); err != nil {
		t.Fatal(err)
	} else if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	get(t, client, "http://"+second+"/")
	f.Close(second)
	if _, err := net.Dial("tcp", second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the closed listener: %v", err)
	}
	if _, err := answers.ReadByte(); err != io.EOF {
		t.Errorf("an idle connection of the closed listener: %v", err)
	}
	if err := f.Listen(t.Context(), Listener{Name: "again", Address: second, Mode: HTTP, Pool: f.pool}); err != nil {
		t.Errorf("open it again: %v", err)
	}
	if _, body := get(t, client, f.url("/")); body != "ok" {
		t.Errorf("the first listener says %q", body)
	}
	f.Close("127.0.0.1:1") // which is not open
}

// A request in flight outlives its listener.
func TestCloseLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	seen, release := make(chan struct{}), make(chan struct{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(seen)
		<-release
		io.WriteString(w, "finished")
	})))
	got := make(chan string, 1)
	client := newClient(t)
	go func() {
		res, err := client.Get(f.url("/"))
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		got <- string(body)
	}()
	<-seen
	f.Close(f.address)
	close(release)
	if body := <-got; body != "finished" {
		t.Error(body)
	}
}

// An open listener changes its pool and mode under its connections.
func TestListenAgainSwitches(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	blue, green := newBackend(t, answering("blue")), newBackend(t, answering("green"))
	f.add(blue)
	client := newClient(t)
	get(t, client, f.url("/"))

	other := f.NewPool()
	t.Cleanup(other.Close)
	other.Add(green.id, green.address)
	l := Listener{Name: "test", Address: f.address, Mode: HTTP, Pool: other}
	if err := f.Listen(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if _, body := get(t, client, f.url("/")); body != "green" {
		t.Errorf("after the change of pool: %s", body)
	}
	l.Mode = TCP
	if err := f.Listen(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if _, body := get(t, client, f.url("/")); body != "green" {
		t.Errorf("the established connection: %s", body)
	}
	conn := dialRaw(t, f.address)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: nobody\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 200 {
		t.Errorf("a new connection: %v, %v", res, err)
	}
}

func TestRunEnds(t *testing.T) {
	t.Parallel()
	p := New(Options{Linger: 200 * time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	f := &front{Proxy: p, pool: p.NewPool()}
	defer f.pool.Close()
	f.address = f.listen(t, Listener{Name: "http", Mode: HTTP, Pool: f.pool})
	tcp := f.listen(t, Listener{Name: "tcp", Mode: TCP, Pool: f.pool})
	seen := make(chan struct{}, 2)
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- struct{}{}
		<-r.Context().Done()
	})))
	hanging := make(chan string, 1)
	client := newClient(t)
	go func() {
		res, err := client.Get(f.url("/"))
		if err != nil {
			hanging <- err.Error()
			return
		}
		res.Body.Close()
		hanging <- res.Status
	}()
	io.WriteString(dialRaw(t, tcp), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	dialRaw(t, f.address)
	<-seen
	<-seen
	start := time.Now()
	stop()
	if err := <-ran; err != nil || time.Since(start) > 20*time.Second {
		t.Errorf("run: %v after %s", err, time.Since(start))
	}
	if got := <-hanging; !strings.HasPrefix(got, "503") {
		t.Errorf("the request that was cut got: %s", got)
	}
	if err := p.Listen(t.Context(), Listener{Address: f.address, Pool: f.pool}); !errors.Is(err, ErrClosed) {
		t.Errorf("listen after the end: %v", err)
	}
}

// Requests that two servers could read in two ways are refused, or reach the
// back end in one way only.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	type seen struct {
		length int64
		coding []string
		body   string
	}
	requests := make(chan seen, 8)
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{r.ContentLength, r.TransferEncoding, string(body)}
		if len(r.Header["Content-Length"]) > 0 && len(r.TransferEncoding) > 0 {
			t.Error("both lengths reached the back end")
		}
	})))
	tests := []struct {
		name, head, body string
		status           int
		seen             string
	}{
		{"two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello!", 400, ""},
		{"a list of lengths", "Content-Length: 5, 6\r\n", "hello!", 400, ""},
		{"a negative length", "Content-Length: -1\r\n", "", 400, ""},
		{"a signed length", "Content-Length: +5\r\n", "hello", 400, ""},
		{"space before the colon", "Content-Length : 5\r\n", "hello", 400, ""},
		{"unknown coding", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n", 501, ""},
		{"two codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n", 501, ""},
		{"length and chunks", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", 400, ""},
		{"chunks", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", 200, "hello"},
		{"control byte in a header", "X-A: a\x00b\r\n", "", 400, ""},
		{"header without a name", ": a\r\n", "", 400, ""},
		{"a bad chunk size", "Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n", 502, ""},
	}
	for _, test := range tests {
		res := sendRaw(t, f.address, "POST / HTTP/1.1\r\nHost: a\r\n"+test.head+"\r\n"+test.body)
		if test.seen != "" {
			if got := <-requests; got.body != test.seen {
				t.Errorf("%s: the back end saw %+v", test.name, got)
			}
		}
		if res.StatusCode != test.status && !(test.status == 502 && res.StatusCode == 400) {
			t.Errorf("%s: %s", test.name, res.Status)
		}
	}
	for _, raw := range []string{
		"GET / HTTP/1.1\r\n\r\n",                       // no Host
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", // two
		"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",          // not a host
		"GET / HTTP/9.9\r\nHost: a\r\n\r\n",            // no such version
		"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n",         // no method
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", maxHeadBytes+8<<10) + "\r\n\r\n",
	} {
		if res := sendRaw(t, f.address, raw); res.StatusCode < 400 {
			t.Errorf("%.60q: %s", raw, res.Status)
		}
	}
	close(requests)
	for r := range requests {
		if r.body != "" {
			t.Errorf("the back end saw %s", fmt.Sprint(r))
		}
	}
}

// A head has a time to come in, however its parts come, and in it the first of
// a connection has to begin, too.
func TestSlowHead(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			p := New(Options{})
			what := Listener{Pool: p.NewPool()} // without back ends: each request is answered at once
			what.Pool.Expect(expectation("none"))
			l := &listener{proxy: p, base: t.Context(), clients: map[*client]struct{}{}}
			l.serves.Store(&what)
			conn, served := net.Pipe()
			defer conn.Close()
			go clientOf(l, served).serve()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				io.Copy(io.Discard, conn)
			}()
			io.WriteString(conn, first)
			synctest.Wait()
			start := time.Now()
			io.WriteString(conn, "GET / HTTP/1.1\r\nX: ")
			for more := true; more && time.Since(start) < 2*headTimeout; {
				select {
				case <-ended:
					more = false
				case <-time.After(time.Second):
					io.WriteString(conn, "a")
				}
			}
			if d := time.Since(start); d != headTimeout {
				t.Errorf("after %q, a slow head was listened to for %s", first, d)
			}
		})
	}
}
