package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"skiff/proxy/pool"
)

// The lean path and the one for what is rare count the same of the same.
func TestBothPathsCountTheSame(t *testing.T) {
	t.Parallel()
	var tallies []pool.Tally
	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	for _, protocols := range []*http.Protocols{nil, h2c} {
		f := newFront(t, HTTP, Options{})
		b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/broken":
				panic(http.ErrAbortHandler)
			case "/torn":
				w.Header().Set("Content-Length", "10")
				io.WriteString(w, "half")
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			case "/missing":
				http.NotFound(w, r)
			case "/wrong":
				http.Error(w, "no", http.StatusInternalServerError)
			case "/events":
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "data: 1\n\n")
			}
		}))
		f.pool.Replace([]pool.Member{{ID: b.id, Address: b.address, Revision: "one"}}, pool.Expectation{})
		transport := &http.Transport{Protocols: protocols, DisableCompression: true}
		t.Cleanup(transport.CloseIdleConnections)
		client := &http.Client{Transport: transport}
		ask := func(method, path string) {
			r, _ := http.NewRequestWithContext(t.Context(), method, f.url(path), nil)
			if res, err := client.Do(r); err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		}
		for _, path := range []string{"/", "/", "/missing", "/wrong", "/torn", "/events"} {
			ask("GET", path)
		}
		ask("POST", "/broken")
		f.drain(t, b)
		ask("GET", "/") // nobody is there any more
		counts := f.pool.Counts()
		all := counts.Revisions["one"].Plus(counts.Revisions[""])
		if n := counts.Revisions[""]; n.Failures[pool.Unavailable] != 1 || n.Requests() != 1 {
			t.Errorf("of no revision: %+v", n)
		}
		all.Took = pool.Histogram{Buckets: map[int]uint64{0: all.Took.Count()}}
		tallies = append(tallies, all)
	}
	lean, rare := tallies[0], tallies[1]
	if lean.Answered != rare.Answered || lean.Failures != rare.Failures || lean.Retried != rare.Retried ||
		lean.Drained != rare.Drained || lean.Cut != rare.Cut || lean.Took.Count() != rare.Took.Count() {
		t.Errorf("the lean path counts\n%+v, the other\n%+v", lean, rare)
	}
	want := pool.Tally{Answered: [6]uint64{2: 3, 4: 1, 5: 1}}
	if lean.Answered != want.Answered || lean.Failures[pool.Broken] != 2 || lean.Lost() != 3 || lean.Took.Buckets[0] != 4 {
		t.Errorf("counted %+v", lean)
	}
}

// A request without a good host is the client's doing, whatever it speaks.
func TestMalformedHostIsTheClientsFault(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, answering("hello")))
	if got := talk(t, f.address, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("%q", got)
	}
	conn := dialRaw(t, f.address)
	io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.WriteSettings()
	var head strings.Builder
	encoder := hpack.NewEncoder(&head)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", `a"b`}, {":path", "/"}} {
		encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(head.String()), EndStream: true, EndHeaders: true})
	for answered := false; !answered; {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
			answered = true
			if got := headers.PseudoValue("status"); got != "400" {
				t.Errorf("answered with %s", got)
			}
		}
	}
	if s := f.pool.Snapshot(); s.Failures[pool.Refused] != 2 || s.Lost() != 0 || s.Requests() != 2 {
		t.Errorf("counted %+v", s.Tally)
	}
}

// How streams end when their back end leaves, and when it breaks them off.
func TestEndsOfStreamsAreCounted(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, f *front, kind pool.Stream, drained, cut uint64) {
		t.Helper()
		eventually(t, "the stream has ended", func() bool {
			s := f.pool.Snapshot()
			return s.Drained[kind]+s.Cut[kind] == drained+cut
		})
		if s := f.pool.Snapshot(); s.Drained[kind] != drained || s.Cut[kind] != cut || s.Lost() != 0 || s.Requests() != 1 {
			t.Errorf("%s: drained %d, cut %d, requests %d, lost %d", kind, s.Drained[kind], s.Cut[kind], s.Requests(), s.Lost())
		}
	}
	t.Run("a WebSocket that is told", func(t *testing.T) {
		f := newFront(t, HTTP, Options{})
		b := newBackend(t, echoWebSocket())
		f.add(b)
		conn := dialWebSocket(t, f)
		echo(t, conn, "hello")
		go conn.ReadMessage() // answers the goodbye
		if err := f.pool.Drain(t.Context(), b.id, 0); err != nil {
			t.Error(err)
		}
		check(t, f, pool.WebSocket, 1, 0)
	})
	t.Run("a WebSocket broken off", func(t *testing.T) {
		f := newFront(t, HTTP, Options{})
		b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			conn.NetConn().Write([]byte{0x81, 5, 'h'}) // of five bytes
			conn.Close()
		}))
		f.add(b)
		dialWebSocket(t, f).ReadMessage()
		check(t, f, pool.WebSocket, 0, 1)
	})
	t.Run("events that are told", func(t *testing.T) {
		f := newFront(t, HTTP, Options{})
		b := newBackend(t, events(nil))
		f.add(b)
		res, err := newClient(t).Get(f.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		go io.Copy(io.Discard, res.Body)
		if err := f.pool.Drain(t.Context(), b.id, 0); err != nil {
			t.Error(err)
		}
		check(t, f, pool.Events, 1, 0)
	})
	tcp := func(t *testing.T) (*front, *lineServer, *lineClient) {
		f := newFront(t, TCP, Options{})
		s := newLineServer(t, "a")
		f.pool.Add(s.id, s.address)
		c, err := dialLine(f.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.ask("hello"); err != nil {
			t.Fatal(err)
		}
		return f, s, c
	}
	t.Run("TCP at rest", func(t *testing.T) {
		f, s, _ := tcp(t)
		if err := f.pool.Drain(t.Context(), s.id, 5*time.Second); err != nil {
			t.Error(err)
		}
		check(t, f, pool.TCP, 1, 0)
	})
	t.Run("TCP at the deadline", func(t *testing.T) {
		f, s, _ := tcp(t)
		if err := f.pool.Drain(t.Context(), s.id, 0); err != nil {
			t.Error(err)
		}
		check(t, f, pool.TCP, 0, 1)
	})
	t.Run("TCP broken off", func(t *testing.T) {
		f := newFront(t, TCP, Options{})
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			bufio.NewReader(conn).ReadString('\n')
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}()
		f.pool.Add("a", listener.Addr().String())
		c, err := dialLine(f.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.ask("hello")
		check(t, f, pool.TCP, 0, 1)
	})
}
