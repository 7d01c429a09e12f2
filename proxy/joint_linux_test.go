package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// joints has test look at what a pair of connections is joined by: a reactor, and
// goroutines, which serve where there is none.
func joints(t *testing.T, test func(t *testing.T, join func(client, server net.Conn) joint)) {
	t.Run("reactor", func(t *testing.T) {
		t.Parallel()
		r, err := newReactor()
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); r.run(ctx) }()
		t.Cleanup(func() { stop(); <-done })
		test(t, func(client, server net.Conn) joint {
			p, err := newPair(r, client, server)
			if err != nil {
				t.Fatal(err)
			}
			return p
		})
	})
	t.Run("goroutines", func(t *testing.T) {
		t.Parallel()
		test(t, func(client, server net.Conn) joint { return newSplice(client, server) })
	})
}

// ends are those of the connections of a client and a server, and what is to be
// joined of them.
func ends(t *testing.T) (client, server, ours, theirs *net.TCPConn) {
	t.Helper()
	client, ours = connected(t)
	server, theirs = connected(t)
	for _, c := range []net.Conn{client, server} {
		c.SetDeadline(time.Now().Add(time.Minute))
	}
	return client, server, ours, theirs
}

// begin has a joint run until the end of the test, or until end is called.
func begin(t *testing.T, j joint) (end func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); j.run() }()
	end = func() { j.Close(); <-done }
	t.Cleanup(end)
	return end
}

// A connection on which a query has come that nobody has read is not at rest,
// however long ago its last byte passed.
func TestJointSeesTheUnread(t *testing.T) {
	t.Parallel()
	joints(t, func(t *testing.T, join func(client, server net.Conn) joint) {
		client, server, ours, theirs := ends(t)
		j := join(ours, theirs)
		if j.Unread() {
			t.Error("something is unread, and nothing was sent")
		}
		io.WriteString(client, "query")
		eventually(t, "the query is seen that is unread", j.Unread)
		end := begin(t, j)
		hear(t, server, "query")
		if j.Unread() {
			t.Error("a query that was read is taken for unread")
		}
		if end(); j.Unread() {
			t.Error("something is unread on what is closed")
		}
	})
}

// What has come before anybody looks is noticed, although one event stands for
// all of it: the end of a connection, its reset, what follows urgent data.
func TestJointMissesNothingThatCameAtOnce(t *testing.T) {
	t.Parallel()
	joints(t, func(t *testing.T, join func(client, server net.Conn) joint) {
		for name, say := range map[string]func(leaver *net.TCPConn){
			"end": func(leaver *net.TCPConn) { leaver.CloseWrite() },
			"reset": func(leaver *net.TCPConn) {
				leaver.SetLinger(0)
				leaver.Close()
			},
		} {
			for _, side := range []string{"client", "server"} {
				t.Run(name+" of the "+side, func(t *testing.T) {
					t.Parallel()
					client, server, ours, theirs := ends(t)
					leaver, other, seen := client, server, newWire(ours)
					if side == "server" {
						leaver, other, seen = server, client, newWire(theirs)
					}
					io.WriteString(leaver, "last")
					say(leaver)
					eventually(t, "both have come", func() (over bool) {
						seen.raw.Control(func(fd uintptr) { over = seen.queued() > 0 && hungUp(fd) })
						return over
					})
					begin(t, join(ours, theirs))
					hear(t, other, "last")
					if n, err := other.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
						t.Errorf("instead of the end came %d bytes, %v", n, err)
					}
				})
			}
		}
		t.Run("urgent", func(t *testing.T) {
			t.Parallel()
			client, server, ours, theirs := ends(t)
			io.WriteString(client, "before")
			urge(t, client)
			io.WriteString(client, "after")
			seen := newWire(ours)
			eventually(t, "all has come", func() bool { return seen.received(t) >= len("before!after") })
			begin(t, join(ours, theirs))
			hear(t, server, "beforeafter")
		})
	})
}

// The same while somebody looks: events of their own, or one, as it happens.
func TestJointMissesNothingThatComes(t *testing.T) {
	t.Parallel()
	joints(t, func(t *testing.T, join func(client, server net.Conn) joint) {
		for range 100 {
			client, server, ours, theirs := ends(t)
			begin(t, join(ours, theirs))
			io.WriteString(client, "before")
			urge(t, client)
			io.WriteString(client, "after")
			hear(t, server, "beforeafter")
			io.WriteString(server, "last")
			server.Close()
			hear(t, client, "last")
			if n, err := client.Read(make([]byte, 1)); err != io.EOF {
				t.Fatalf("instead of the end came %d bytes, %v", n, err)
			}
		}
	})
}

// urge sends a byte out of band.
func urge(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = syscall.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) })
	if err != nil {
		t.Fatal(err)
	}
}

// Closing waits for whoever reads, who must not go on as long as something comes.
func TestLaneTakesNothingWhileItIsClosed(t *testing.T) {
	t.Parallel()
	client, _, ours, theirs := ends(t)
	s := newSplice(ours, theirs)
	up := s.lane(s.server, s.client)
	io.WriteString(client, "more")
	eventually(t, "it has come", s.Unread)
	s.closed.Store(true)
	over := false
	s.client.raw.Control(func(fd uintptr) { over = up.take(fd) })
	if !over || !errors.Is(up.err, net.ErrClosed) || !s.Unread() {
		t.Errorf("over %t: %v; unread %t", over, up.err, s.Unread())
	}
}

// received is how much has come over a connection, read or not.
func (w *wire) received(t *testing.T) int {
	t.Helper()
	var info *unix.TCPInfo
	var err error
	w.raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Bytes_received)
}

// What clients send is held back, and what servers say is not. A connection can
// be closed meanwhile.
func TestJointHolds(t *testing.T) {
	t.Parallel()
	joints(t, func(t *testing.T, join func(client, server net.Conn) joint) {
		client, server, ours, theirs := ends(t)
		j := join(ours, theirs)
		end := begin(t, j)
		j.Hold()
		io.WriteString(client, "query")
		eventually(t, "the query has come", func() bool { return j.Rest().Waiting })
		io.WriteString(server, "news")
		hear(t, client, "news")
		if !j.Rest().Waiting {
			t.Error("the query that is held back does not count")
		}
		io.WriteString(client, ", and more of it")
		server.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := server.Read(make([]byte, 1)); !os.IsTimeout(err) {
			t.Errorf("the server heard %d bytes, %v", n, err)
		}
		j.Resume()
		server.SetReadDeadline(time.Now().Add(time.Minute))
		hear(t, server, "query, and more of it")
		io.WriteString(server, "answer")
		hear(t, client, "answer")
		eventually(t, "nothing is asked any more", func() bool { return !j.Rest().Waiting })

		j.Hold()
		io.WriteString(client, "another")
		eventually(t, "another one has come", func() bool { return j.Rest().Waiting })
		j.Close()
		j.Resume()
		end()
		if n, err := server.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the server heard %d bytes, %v", n, err)
		}
	})
}

// A client that leaves while it is held is let go: a drain waits for that.
func TestJointLetsTheHeldGo(t *testing.T) {
	t.Parallel()
	joints(t, func(t *testing.T, join func(client, server net.Conn) joint) {
		for _, reset := range []bool{false, true} {
			client, server, ours, theirs := ends(t)
			j := join(ours, theirs)
			begin(t, j)
			io.WriteString(client, "hello")
			hear(t, server, "hello")
			io.WriteString(server, "hello")
			hear(t, client, "hello")
			j.Hold()
			if reset {
				client.SetLinger(0)
			}
			client.Close()
			if n, err := server.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
				t.Errorf("reset %t: the server heard %d bytes, %v", reset, n, err)
			}
			if j.Rest().Waiting {
				t.Errorf("reset %t: something is asked", reset)
			}
			j.Resume()
		}
	})
}

// Nothing of what a server has said is taken back when it is gone for good,
// although the client speaks to it once more.
func TestJointDeliversWhatWasSaid(t *testing.T) {
	t.Parallel()
	joints(t, func(t *testing.T, join func(client, server net.Conn) joint) {
		client, server, ours, theirs := ends(t)
		begin(t, join(ours, theirs))
		const size = 512 << 10
		io.Copy(server, io.LimitReader(&pattern{}, size))
		server.CloseWrite()
		eventually(t, "all that the server says has left it", func() bool { return unsent(t, server) == 0 })
		server.SetLinger(0)
		server.Close()
		io.WriteString(client, "more") // closed before, the client's end would refuse this and forget the rest
		if got, err := io.ReadAll(client); len(got) != size || err != nil {
			t.Errorf("%d of %d bytes came, %v", len(got), size, err)
		}
	})
}

// A reset is passed on after what came before it: an end would say that this is all.
func TestJointPassesAResetOn(t *testing.T) {
	t.Parallel()
	joints(t, func(t *testing.T, join func(client, server net.Conn) joint) {
		for _, side := range []string{"client", "server"} {
			client, server, ours, theirs := ends(t)
			leaver, other := client, server
			if side == "server" {
				leaver, other = server, client
			}
			begin(t, join(ours, theirs))
			io.WriteString(leaver, "first")
			hear(t, other, "first")
			leaver.SetLinger(0)
			leaver.Close()
			if _, err := other.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after a reset by the %s: %v", side, err)
			}
		}
	})
}

// unsent is how much of what was written the other side has not taken yet.
func unsent(t *testing.T, conn *net.TCPConn) (n int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Much takes its turns, beside somebody who says little.
func TestJointServesManyAtOnce(t *testing.T) {
	t.Parallel()
	joints(t, func(t *testing.T, join func(client, server net.Conn) joint) {
		const size = 32 << 20
		var all sync.WaitGroup
		for range 3 {
			client, server, ours, theirs := ends(t)
			begin(t, join(ours, theirs))
			for _, c := range []*net.TCPConn{client, server} {
				all.Go(func() {
					io.Copy(c, io.LimitReader(&pattern{}, size))
					c.CloseWrite()
				})
				all.Go(func() { checkPattern(t, c, size) })
			}
		}
		client, server, ours, theirs := ends(t)
		begin(t, join(ours, theirs))
		for range 200 {
			io.WriteString(client, "question")
			hear(t, server, "question")
			io.WriteString(server, "answer")
			hear(t, client, "answer")
		}
		all.Wait()
	})
}

// A back end that breaks a connection off is told from a client that does.
func TestJointSaysWhoBrokeOff(t *testing.T) {
	t.Parallel()
	joints(t, func(t *testing.T, join func(client, server net.Conn) joint) {
		for _, side := range []string{"client", "server"} {
			client, server, ours, theirs := ends(t)
			j := join(ours, theirs)
			leaver := client
			if side == "server" {
				leaver = server
			}
			leaver.SetLinger(0)
			leaver.Close()
			if j.run(); j.brokenOff() != (side == "server") {
				t.Errorf("the %s has broken off: by the back end is %t", side, j.brokenOff())
			}
		}
	})
}

// A drain may close what has not begun.
func TestJointIsClosedBeforeItBegins(t *testing.T) {
	t.Parallel()
	joints(t, func(t *testing.T, join func(client, server net.Conn) joint) {
		client, server, ours, theirs := ends(t)
		io.WriteString(client, "hello")
		j := join(ours, theirs)
		j.Hold()
		j.Close()
		j.Resume()
		j.run()
		for _, c := range []*net.TCPConn{client, server} {
			if n, err := c.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("an end heard %d bytes, %v", n, err)
			}
		}
	})
}

// With the reactor all ends that it serves, and what comes late.
func TestReactorEnds(t *testing.T) {
	t.Parallel()
	r, err := newReactor()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.run(ctx) }()
	client, server, ours, theirs := ends(t)
	p, err := newPair(r, ours, theirs)
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan struct{})
	go func() { defer close(ran); p.run() }()
	io.WriteString(client, "hello")
	hear(t, server, "hello")
	stop()
	<-done
	<-ran
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client heard %d bytes, %v", n, err)
	}
	p.Close()

	late, _, ours, theirs := ends(t)
	if p, err = newPair(r, ours, theirs); err != nil {
		t.Fatal(err)
	}
	p.run()
	if n, err := late.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the late client heard %d bytes, %v", n, err)
	}
}
