package proxy

import (
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"skiff/proxy/pool"
)

// through is a connection through the front, with its two ends.
func through(t *testing.T, f *front) (client, server *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	f.pool.Replace([]pool.Member{{ID: listener.Addr().String(), Address: listener.Addr().String()}}, pool.Expectation{})
	client = dialRaw(t, f.address).(*net.TCPConn)
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(client, "hello")
	hear(t, conn, "hello") // the front has its connection, too
	return client, conn.(*net.TCPConn)
}

// connected are the two ends of a connection.
func connected(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	one, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { one.Close() })
	other, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	return one.(*net.TCPConn), other.(*net.TCPConn)
}

// hear reads what is to come.
func hear(t *testing.T, from io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(from, got); err != nil || string(got) != want {
		t.Fatalf("heard %q, %v; want %q", got[:n], err, want)
	}
}

// gone waits until the front has no connection any more.
func (f *front) gone(t *testing.T) {
	t.Helper()
	eventually(t, "the connection is forgotten", func() bool {
		for _, b := range f.pool.Snapshot().Backends {
			if b.InFlight > 0 {
				return false
			}
		}
		return true
	})
}

// Each side may have said all it has to say while the other one goes on.
func TestTCPHalfCloseEitherWay(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"client", "server"} {
		t.Run(first+" first", func(t *testing.T) {
			t.Parallel()
			f := newFront(t, TCP, Options{})
			early, late := through(t, f)
			if first == "server" {
				early, late = late, early
			}
			io.WriteString(early, "all I have to say")
			early.CloseWrite()
			if got, err := io.ReadAll(late); string(got) != "all I have to say" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			const size = 3 << 20
			go func() {
				io.Copy(late, io.LimitReader(&pattern{}, size))
				late.CloseWrite()
			}()
			checkPattern(t, early, size)
			f.gone(t)
		})
	}
}

// checkPattern reads to the end.
func checkPattern(t *testing.T, from io.Reader, size int64) {
	t.Helper()
	got, want := fnv.New64a(), fnv.New64a()
	n, err := io.Copy(got, from)
	io.Copy(want, io.LimitReader(&pattern{}, size))
	if n != size || err != nil || got.Sum64() != want.Sum64() {
		t.Errorf("%d of %d bytes came, the right ones: %t; %v", n, size, got.Sum64() == want.Sum64(), err)
	}
}

// What is sent right before the end arrives, and so does the end, however close
// it follows.
func TestTCPEndFollowsTheLastBytes(t *testing.T) {
	t.Parallel()
	for _, reset := range []bool{false, true} {
		for _, first := range []string{"client", "server"} {
			t.Run(fmt.Sprintf("%s, reset %t", first, reset), func(t *testing.T) {
				t.Parallel()
				f := newFront(t, TCP, Options{})
				for range 20 {
					leaver, other := through(t, f)
					if first == "server" {
						leaver, other = other, leaver
					}
					io.WriteString(leaver, "last")
					if reset {
						leaver.SetLinger(0)
					}
					leaver.Close()
					hear(t, other, "last")
					if n, err := other.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
						t.Fatalf("instead of the end came %d bytes, %v", n, err)
					}
					other.Close()
				}
				f.gone(t)
			})
		}
	}
}

// Who does not read is not sent for ever, and then gets everything.
func TestTCPSlowReader(t *testing.T) {
	t.Parallel()
	for _, deaf := range []string{"client", "server"} {
		t.Run(deaf, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, TCP, Options{})
			reader, writer := through(t, f)
			if deaf == "server" {
				reader, writer = writer, reader
			}
			const enough = 64 << 20 // more than the sockets on the way hold
			var sent int64
			for err := error(nil); err == nil; {
				writer.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
				var n int64
				n, err = io.Copy(writer, io.LimitReader(&pattern{at: int(sent % 251)}, enough-sent))
				if sent += n; sent == enough {
					t.Fatalf("%d bytes are on the way", sent)
				}
			}
			writer.CloseWrite()
			checkPattern(t, reader, sent)
		})
	}
}

func TestTCPMuchBothWays(t *testing.T) {
	t.Parallel()
	f := newFront(t, TCP, Options{})
	client, server := through(t, f)
	const size = 24 << 20
	var both sync.WaitGroup
	for _, c := range []*net.TCPConn{client, server} {
		both.Go(func() {
			io.Copy(c, io.LimitReader(&pattern{}, size))
			c.CloseWrite()
		})
		both.Go(func() { checkPattern(t, c, size) })
	}
	both.Wait()
	f.gone(t)
}

// Crowds of connections that rest take their turn again as if they were alone.
func TestTCPCrowdAtRest(t *testing.T) {
	t.Parallel()
	f := newFront(t, TCP, Options{})
	s := newLineServer(t, "a")
	f.pool.Add(s.id, s.address)
	var crowd []*lineClient
	for i := range 300 {
		c, err := dialLine(f.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got, err := c.ask("hello"); err != nil {
			t.Fatalf("connection %d: %q, %v", i, got, err)
		}
		crowd = append(crowd, c)
	}
	for round := range 2 {
		for i, c := range crowd {
			if got, err := c.ask(fmt.Sprint(i)); got != fmt.Sprint("a:", i) {
				t.Fatalf("connection %d in round %d: %q, %v", i, round, got, err)
			}
		}
	}
	for _, c := range crowd {
		c.Close()
	}
	f.gone(t)
}
