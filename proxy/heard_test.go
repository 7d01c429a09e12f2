package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	b := &http2Backend{address: listener.Addr().String(), answer: answer}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go b.serve(conn)
		}
	}()
	return b
}

// serve returns when the other side has ended the connection.
func (b *http2Backend) serve(conn net.Conn) {
	defer conn.Close()
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
