package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"skiff/proxy/pool"
)

// listenRaw has each connection served, which is then closed.
func listenRaw(t *testing.T, serve func(net.Conn)) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return listener
}

// newRawBackend answers each connection as the test says.
func newRawBackend(t *testing.T, f *front, serve func(conn net.Conn, in *bufio.Reader)) {
	t.Helper()
	listener := listenRaw(t, func(conn net.Conn) { serve(conn, bufio.NewReader(conn)) })
	f.pool.Add("raw", listener.Addr().String())
}

// talk sends bytes and returns all that comes until the connection ends.
func talk(t *testing.T, address, request string) string {
	t.Helper()
	conn := dialRaw(t, address)
	io.WriteString(conn, request)
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%v after %q", err, got)
	}
	return string(got)
}

func TestPipelining(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
	})))
	conn := dialRaw(t, f.address)
	big := strings.Repeat("x", 100_000)
	go io.WriteString(conn, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"+
		"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\r\n"+ // the empty line of some old clients
		"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"+
		"POST /4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186a0;x=y\r\n"+big+"\r\n0\r\n\r\n"+
		"POST /5 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"+big+
		"GET http://a/6 HTTP/1.1\r\nHost: a\r\n\r\n"+ // rare
		"GET /7 HTTP/1.1\r\nHost: a\r\n\r\n")
	in := bufio.NewReader(conn)
	for _, want := range []string{"GET /1 ", "POST /2 hello", "POST /3 abc", "POST /4 " + big, "POST /5 " + big, "GET /6 ", "GET /7 "} {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != want {
			t.Fatalf("got %.60q, %v; want %.60q", body, err, want)
		}
	}
}

func TestOldClients(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, "hello")
	})))
	got := talk(t, f.address, "GET /stream HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.0 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\nhello") || strings.Contains(got, "chunked") {
		t.Errorf("a stream: %q", got)
	}
	got = talk(t, f.address, "GET /1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\nHost: a\r\n\r\n")
	if strings.Count(got, "hello") != 2 || strings.Count(got, "Connection: keep-alive") != 1 || strings.Count(got, "Connection: close") != 1 {
		t.Errorf("two requests: %q", got)
	}
}

// Answers without a body end with their head, whatever it says.
func TestAnswersWithoutBody(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/304":
			w.Header().Set("Etag", `"1"`)
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("Content-Length", "1000")
		}
	})))
	got := talk(t, f.address, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /204 HTTP/1.1\r\nHost: a\r\n\r\n"+
		"GET /304 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if strings.Count(got, "HTTP/1.1 ") != 3 || strings.Count(got, "Content-Length: 1000\r\n") != 1 ||
		strings.Count(got, "Content-Length") != 1 || strings.Contains(got, "chunked") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("got %q", got)
	}
}

// Back ends of all kinds: what they say reaches the client in one form.
func TestOldBackEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, answer, body string
		status             int
	}{
		{"ends with the connection", "HTTP/1.0 200 OK\r\n\r\nhello", "hello", 200},
		{"lines end with LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "hello", 200},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", "hello", 200},
		{"length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello", 200},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhello", "", 502},
		{"a folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello", "", 502},
		{"no HTTP", "220 ready\r\n\r\n", "", 502},
		{"nothing", "", "", 502},
	}
	for _, test := range tests {
		f := newFront(t, HTTP, Options{})
		newRawBackend(t, f, func(conn net.Conn, in *bufio.Reader) {
			if _, err := http.ReadRequest(in); err == nil {
				io.WriteString(conn, test.answer)
			}
		})
		code, body := get(t, newClient(t), f.url("/"))
		if code != test.status || code == 200 && body != test.body {
			t.Errorf("%s: %d %q", test.name, code, body)
		}
	}
}

// An answer that is cut off does not look complete.
func TestTruncatedAnswers(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		f := newFront(t, HTTP, Options{})
		newRawBackend(t, f, func(conn net.Conn, in *bufio.Reader) {
			if _, err := http.ReadRequest(in); err == nil {
				io.WriteString(conn, answer)
			}
		})
		res, err := newClient(t).Get(f.url("/"))
		if err != nil {
			continue
		}
		if body, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%q: complete with %q", answer, body)
		}
		res.Body.Close()
	}
}

// Nor does it to a client that knows the end of an answer by that of the
// connection.
func TestTruncatedAnswersToOldClients(t *testing.T) {
	t.Parallel()
	plain, secure, _, trust := newDoors(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
		http.NewResponseController(w).Flush()
		if r.URL.Path == "/cut" {
			panic(http.ErrAbortHandler)
		}
	}))
	for name, dial := range map[string]func() net.Conn{
		"plain": func() net.Conn { return dialRaw(t, plain) },
		"TLS":   func() net.Conn { return dialTLS(t, secure, trust) },
	} {
		for path, whole := range map[string]bool{"/whole": true, "/cut": false} {
			conn := dial()
			io.WriteString(conn, "GET "+path+" HTTP/1.0\r\nHost: a.test\r\n\r\n")
			if got, err := io.ReadAll(conn); (err == nil) != whole {
				t.Errorf("%s, %s: %v after %q", name, path, err, got)
			}
		}
	}
}

// A back end that closes connections that rest, without a word, costs not even
// a POST: their end is seen before anything is sent.
func TestRestedConnectionThatEnded(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	closed := make(chan struct{}, 1)
	newRawBackend(t, f, func(conn net.Conn, in *bufio.Reader) {
		if r, err := http.ReadRequest(in); err == nil {
			io.Copy(io.Discard, r.Body)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
		conn.Close()
		closed <- struct{}{}
	})
	client := newClient(t)
	for range 50 {
		res, err := client.Post(f.url("/"), "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Fatal(res.Status)
		}
		<-closed
	}
}

// A client that has nothing more to say gets an answer that comes at once. One
// that takes longer ends, since the end of what a client says looks the same
// whether it still listens or has left, and nobody may keep a back end busy.
func TestHalfClosedClient(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			<-r.Context().Done()
		}
		io.WriteString(w, "hello")
	})))
	ask := func(path string) string {
		conn := dialRaw(t, f.address).(*net.TCPConn)
		io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		conn.CloseWrite()
		got, err := io.ReadAll(conn)
		if err != nil {
			t.Fatalf("%s: %v after %q", path, err, got)
		}
		return string(got)
	}
	// On a busy machine even that may take too long.
	eventually(t, "an answer comes at once", func() bool { return strings.HasSuffix(ask("/"), "hello") })
	gone := f.pool.Snapshot().Failures[pool.ClientGone]
	if got := ask("/long"); got != "" || f.pool.Snapshot().Failures[pool.ClientGone] != gone+1 {
		t.Errorf("%q, counted as gone: %d after %d", got, f.pool.Snapshot().Failures[pool.ClientGone], gone)
	}
}

// What is refused is answered, and nothing that follows is read.
func TestRefusedEndsTheConnection(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	b := newBackend(t, answering("hello"))
	f.add(b)
	for _, request := range []string{
		"GET / HTTP/1.1\nHost: a\n\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		got := talk(t, f.address, request+"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 400 Bad Request\r\n") || strings.Count(got, "HTTP/1.1 ") != 1 || !strings.Contains(got, "Connection: close\r\n") {
			t.Errorf("%q: %q", request, got)
		}
	}
	if n := b.served.Load(); n != 0 {
		t.Errorf("%d requests reached the back end", n)
	}
}

// A client that leaves in the middle of its body ends the request.
func TestClientGoneWithinItsBody(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	ended := make(chan error, 1)
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	})))
	conn := dialRaw(t, f.address)
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nbegin")
	eventually(t, "the request is under way", func() bool { return f.pool.Snapshot().Backends[0].InFlight == 1 })
	conn.Close()
	if err := <-ended; err == nil {
		t.Error("the back end saw a complete body")
	}
	eventually(t, "counted as the client's doing", func() bool { return f.pool.Snapshot().Failures[pool.ClientGone] == 1 })
}

// An answer larger than every buffer, slow to come and slow to go.
func TestLargeAnswersInPieces(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	const size = 3 << 20
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		io.CopyN(w, &pattern{}, size)
	})))
	for _, path := range []string{"/known", "/chunked"} {
		res, err := newClient(t).Get(f.url(path))
		if err != nil {
			t.Fatal(err)
		}
		n, same := 0, &pattern{}
		want, got := make([]byte, 10_000), make([]byte, 10_000)
		for {
			k, err := io.ReadFull(res.Body, got)
			same.Read(want[:k])
			if string(got[:k]) != string(want[:k]) {
				t.Fatalf("%s: bytes changed after %d", path, n)
			}
			if n += k; err != nil {
				break
			}
		}
		res.Body.Close()
		if n != size {
			t.Errorf("%s: %d bytes", path, n)
		}
	}
}

// The connection of a request that ends after its back end was taken out does
// not rest until the last one has ended.
func TestNothingRestsAtALeavingBackEnd(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	seen, one, all := make(chan struct{}, 2), make(chan struct{}), make(chan struct{})
	b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- struct{}{}
		select {
		case <-one:
		case <-all:
		}
	}))
	f.add(b)
	claim, err := f.pool.Claim(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	up := upstreamOf(claim.Backend(), f.Proxy.options.Dial)
	claim.Release()
	client := newClient(t)
	var requests sync.WaitGroup
	defer requests.Wait()
	defer close(all)
	for range 2 {
		requests.Go(func() { get(t, client, f.url("/")) })
		<-seen
	}
	f.pool.Remove(b.id)
	one <- struct{}{}
	eventually(t, "one of two connections is closed, and its request over", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.conns) == 1 && f.pool.InFlight(b.id) == 1
	})
	up.mu.Lock()
	defer up.mu.Unlock()
	if up.sweeper != nil { // which the first to come to rest sets
		t.Error("it was closed for its idleness")
	}
}
