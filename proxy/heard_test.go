package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// http2Backend does something about each request once it has come as a whole.
type http2Backend struct {
	address string
	heard   atomic.Int64
	answer  func(framer *http2.Framer, stream uint32)
}

func newHTTP2Backend(t *testing.T, answer func(framer *http2.Framer, stream uint32)) *http2Backend {
	t.Helper()
	b := &http2Backend{answer: answer}
	b.address = listenRaw(t, b.serve).Addr().String()
	return b
}

// serve returns when the other side has ended the connection.
func (b *http2Backend) serve(conn net.Conn) {
	io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface)))
	framer := http2.NewFramer(conn, conn)
	framer.WriteSettings()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		data, isData := frame.(*http2.DataFrame)
		head, isHead := frame.(*http2.HeadersFrame)
		if isData && data.StreamEnded() || isHead && head.StreamEnded() {
			b.heard.Add(1)
			b.answer(framer, frame.Header().StreamID)
		}
	}
}

// A back end that ends a request with an error may have acted on it. One that says
// that it will not look at it, every time, is asked no more often than others.
func TestHTTP2RequestIsNotSentAgainAndAgain(t *testing.T) {
	t.Parallel()
	reset := func(code http2.ErrCode) func(*http2.Framer, uint32) {
		return func(framer *http2.Framer, stream uint32) { framer.WriteRSTStream(stream, code) }
	}
	for name, c := range map[string]struct {
		answer  func(*http2.Framer, uint32)
		trailer http.Header
		most    int64
	}{
		"protocol error": {reset(http2.ErrCodeProtocol), nil, 1},
		"internal error": {reset(http2.ErrCodeInternal), nil, 1},
		"refused":        {reset(http2.ErrCodeRefusedStream), nil, maxAttempts},
		"goes away":      {func(framer *http2.Framer, _ uint32) { framer.WriteGoAway(0, http2.ErrCodeNo, nil) }, nil, maxAttempts},
		"with a trailer": {reset(http2.ErrCodeRefusedStream), http.Header{"X-Sum": {"42"}}, 1},
	} {
		for _, body := range []string{"", "body"} {
			if body == "" && c.trailer != nil {
				continue
			}
			t.Run(name+" "+body, func(t *testing.T) {
				t.Parallel()
				f := newFront(t, HTTP, Options{})
				b := newHTTP2Backend(t, c.answer)
				f.pool.Add("a", b.address)
				address := f.listen(t, Listener{Name: "h2c", Mode: HTTP, Pool: f.pool, H2C: true})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if r.Trailer = c.trailer; c.trailer != nil {
					r.ContentLength = -1
				}
				res, err := newHTTP2Transport(t).RoundTrip(r)
				if err != nil {
					t.Fatalf("heard %d times: %v", b.heard.Load(), err)
				}
				res.Body.Close()
				if n := b.heard.Load(); n != c.most || res.StatusCode != http.StatusBadGateway {
					t.Errorf("heard %d times: status %d", n, res.StatusCode)
				}
			})
		}
	}
}

// A back end that is said to speak HTTP/2 and does not is found out before it gets a
// request.
func TestHTTP2IsOnlyAName(t *testing.T) {
	t.Parallel()
	for name, speaks := range map[string]func(*http.Protocols){
		"HTTP/1.1": func(p *http.Protocols) { p.SetHTTP1(true) },
		"HTTP/2.0": func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var conns atomic.Int64
			server := &http.Server{
				Protocols: new(http.Protocols),
				ConnState: func(_ net.Conn, s http.ConnState) {
					if s == http.StateNew {
						conns.Add(1)
					}
				},
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					fmt.Fprintf(w, "%s %s %s", r.Method, r.Proto, body)
				}),
			}
			speaks(server.Protocols)
			go server.Serve(listener)
			t.Cleanup(func() { server.Close() })
			f := newFront(t, HTTP, Options{})
			f.pool.Add("a", listener.Addr().String())
			address := f.listen(t, Listener{Name: "h2c", Mode: HTTP, Pool: f.pool, H2C: true})
			client := newClient(t)
			for n := range 3 {
				res, err := client.Post("http://"+address, "text/plain", strings.NewReader("body"))
				if err != nil {
					t.Fatal(err)
				}
				got, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if want := "POST " + name + " body"; string(got) != want || conns.Load() != 2 {
					t.Errorf("request %d: %d %s over the last of %d connections, want %s over the second", n, res.StatusCode, got, conns.Load(), want)
				}
			}
		})
	}
}

// What else than HTTP/2 a back end says to the question is HTTP/1, many who need to
// know ask once, and silence is no answer: the next one asks again.
func TestHTTP2IsAskedFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		says     func(n int64, conn net.Conn)
		requests int
		code     int
	}{
		"a status":         {func(_ int64, conn net.Conn) { io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }, 100, 200},
		"no status at all": {func(_ int64, conn net.Conn) { io.WriteString(conn, "<!DOCTYPE HTML>") }, 1, 200},
		"nothing at first": {func(n int64, conn net.Conn) {
			if n == 1 {
				io.Copy(io.Discard, conn)
			}
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
		}, 1, 502},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			listener := listenRaw(t, func(conn net.Conn) {
				in := bufio.NewReader(conn)
				for {
					if begin, err := in.Peek(3); err != nil || string(begin) == "PRI" {
						test.says(asked.Add(1), conn)
						return
					}
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			})
			f := newFront(t, HTTP, Options{})
			f.pool.Add("a", listener.Addr().String())
			address := f.listen(t, Listener{Name: "h2c", Mode: HTTP, Pool: f.pool, H2C: true})
			client := newClient(t)
			var all sync.WaitGroup
			for range test.requests {
				all.Go(func() {
					if code, body := get(t, client, "http://"+address); code != test.code {
						t.Errorf("%d %s", code, body)
					}
				})
			}
			all.Wait()
			if n := asked.Load(); test.code == 200 && n != 1 {
				t.Errorf("asked %d times", n)
			}
			for range 2 {
				if code, body := get(t, client, "http://"+address); code != 200 || body != "ok" {
					t.Errorf("then: %d %s", code, body)
				}
			}
		})
	}
}

// Of all that comes over a strict connection, one thing is changed, however it is
// cut into pieces.
func TestStrictConn(t *testing.T) {
	t.Parallel()
	say := func(code http2.ErrCode) []byte {
		var out bytes.Buffer
		framer := http2.NewFramer(&out, nil)
		framer.WriteSettings()
		framer.WriteData(1, false, nil)
		framer.WriteData(1, false, []byte{0, 0, 0, 1})
		framer.WriteRSTStream(3, http2.ErrCodeRefusedStream)
		framer.WriteRSTStream(1, code)
		framer.WriteWindowUpdate(0, 1)
		framer.WriteRSTStream(5, code)
		return out.Bytes()
	}
	for name, cut := range map[string]func(io.Reader) io.Reader{
		"whole":  func(r io.Reader) io.Reader { return r },
		"halves": iotest.HalfReader,
		"bytes":  iotest.OneByteReader,
	} {
		conn := &strictConn{Conn: readConn{Reader: cut(bytes.NewReader(say(http2.ErrCodeProtocol)))}}
		if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, say(http2.ErrCodeInternal)) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// A client that has begun a call, and says nothing more until it hears something,
// hears of its end.
func TestGRPCStreamOfASilentClientEnds(t *testing.T) {
	t.Parallel()
	for _, answered := range []bool{false, true} {
		for _, dies := range []bool{false, true} {
			name := map[bool]string{false: "ended", true: "broken off"}[dies] + map[bool]string{false: "", true: " after an answer"}[answered]
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := newFront(t, HTTP, Options{})
				heard := make(chan struct{})
				address, server := newGRPCServer(t, "a", func(_ any, s grpc.ServerStream) error {
					err := s.RecvMsg(new(text))
					if answered {
						err = errors.Join(err, s.SendMsg(wrapperspb.String("hello")))
					}
					if err != nil {
						return err
					}
					if !dies {
						return status.Error(codes.Aborted, "as it should")
					}
					close(heard)
					<-s.Context().Done()
					return nil
				})
				f.pool.Add("a", address)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				stream, err := grpcClient(t, f).NewStream(ctx, &echoService.Streams[0], "/test.Echo/Chat")
				if err == nil {
					err = stream.SendMsg(wrapperspb.String("hello"))
				}
				if err == nil && answered {
					err = stream.RecvMsg(new(text))
				}
				if err != nil {
					t.Fatal(err)
				}
				want := codes.Aborted
				if dies {
					want = codes.Unavailable
					<-heard
					server.Stop()
				}
				if err := stream.RecvMsg(new(text)); status.Code(err) != want {
					t.Errorf("it ended with %v", err)
				}
			})
		}
	}
}

// A client of HTTP/2 that pauses in the middle of its body hears what has become
// of its request at a back end that speaks HTTP/1, before it says more.
func TestUploadOfASilentClientEnds(t *testing.T) {
	t.Parallel()
	goesOn := func(*net.TCPConn) {}
	closes := func(conn *net.TCPConn) { conn.CloseWrite() }
	resets := func(conn *net.TCPConn) { conn.SetLinger(0); conn.Close() }
	for name, c := range map[string]struct {
		answer string
		ends   func(*net.TCPConn)
		want   string
	}{
		"closes":                 {"", closes, "502"},
		"resets":                 {"", resets, "502"},
		"answers":                {"Content-Length: 5\r\n\r\nearly", goesOn, "200 early"},
		"answers without a body": {"Content-Length: 0\r\n\r\n", goesOn, "200 "},
		"answers and closes":     {"\r\nearly", closes, "200 early"},
		"closes in its answer":   {"Transfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n", closes, "200 early, broken off"},
		"resets in its answer":   {"Transfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n", resets, "200 early, broken off"},
	} {
		for beginning, length := range map[int64]int64{
			5:                    -1,
			2 * upstreamBufBytes: 1 << 20,
		} {
			t.Run(fmt.Sprint(name, " after ", beginning), func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				f := newFront(t, HTTP, Options{})
				begun := make(chan struct{}) // the answer
				newRawBackend(t, f, func(conn net.Conn, in *bufio.Reader) {
					r, err := http.ReadRequest(in)
					if err != nil {
						t.Error(err)
						return
					}
					io.ReadFull(r.Body, make([]byte, 5))
					if c.answer != "" {
						io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+c.answer)
						<-begun
					}
					c.ends(conn.(*net.TCPConn))
					io.Copy(io.Discard, in)
				})
				got := hearOf(ctx, t, f, beginning, length, sync.OnceFunc(func() { close(begun) }))
				if got != c.want {
					t.Errorf("got %q, not %q", got, c.want)
				}
			})
		}
	}
}

// hearOf sends the beginning of a body and says what is answered.
func hearOf(ctx context.Context, t *testing.T, f *front, beginning, length int64, begun func()) string {
	t.Helper()
	defer begun()
	body, feed := io.Pipe()
	defer feed.Close()
	go feed.Write(make([]byte, beginning))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url("/"), body)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = length
	res, err := newHTTP2Transport(t).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	begun()
	text, err := io.ReadAll(res.Body)
	switch {
	case res.StatusCode != http.StatusOK:
		return fmt.Sprint(res.StatusCode)
	case err != nil:
		return fmt.Sprintf("%d %s, broken off", res.StatusCode, text)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, text)
}
