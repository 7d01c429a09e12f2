package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// serving has serve have every connection to an address.
func serving(t *testing.T, serve func(conn *net.TCPConn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}

// What the back end carries out on connections that are never at rest is answered,
// up to the deadline.
func TestDrainAnswersWhatIsCarriedOut(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"sockets": {}, "through another dialer": {Dial: dialWrapped}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, TCP, o)
			var executed, answered atomic.Int64
			f.pool.Add("db", serving(t, func(conn *net.TCPConn) {
				for in := bufio.NewReader(conn); ; {
					if _, err := in.ReadByte(); err != nil {
						return
					}
					executed.Add(1)
					time.Sleep(time.Millisecond) // of work
					if _, err := conn.Write([]byte("a")); err != nil {
						return
					}
				}
			}))
			var clients sync.WaitGroup
			for range 16 {
				conn := dialRaw(t, f.address)
				clients.Go(func() {
					defer conn.Close()
					for answer := make([]byte, 1); ; answered.Add(1) {
						if _, err := conn.Write([]byte("q")); err != nil {
							return
						}
						if _, err := io.ReadFull(conn, answer); err != nil {
							return
						}
						time.Sleep(time.Millisecond) // until the next
					}
				})
			}
			eventually(t, "all are at it", func() bool { return answered.Load() > 100 })
			if err := f.pool.Drain(t.Context(), "db", 2*time.Second); err != nil {
				t.Fatal(err)
			}
			clients.Wait()
			if e, a := executed.Load(), answered.Load(); e != a {
				t.Errorf("%d were carried out and %d answered", e, a)
			}
		})
	}
}

// A client that is slow to take what it is sent is not at rest, and what is cut at
// the deadline does not look whole.
func TestDrainCutsNoAnswerInSilence(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"sockets": {}, "through another dialer": {Dial: dialWrapped}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, TCP, o)
			f.pool.Add("db", serving(t, func(conn *net.TCPConn) {
				io.ReadFull(conn, make([]byte, 1))
				io.Copy(conn, &pattern{}) // until it is cut
			}))
			conn := dialRaw(t, f.address)
			if _, err := conn.Write([]byte("q")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			const patience = 2 * time.Second
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			if err := f.pool.Drain(ctx, "db", patience); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took < patience {
				t.Errorf("it was let go after %s", took)
			}
			if n := f.pool.Snapshot().CutAtDrain; n != 1 {
				t.Errorf("%d were cut", n)
			}
			if _, err := io.Copy(io.Discard, conn); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the end is %v, want a reset", err)
			}
		})
	}
}
