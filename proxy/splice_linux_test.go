package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// joined is a splice between the connections of a client and a server.
func joined(t *testing.T) (client, server *net.TCPConn, s *splice) {
	t.Helper()
	client, ours := connected(t)
	server, theirs := connected(t)
	for _, c := range []net.Conn{client, server} {
		c.SetDeadline(time.Now().Add(time.Minute))
	}
	return client, server, newSplice(ours, theirs)
}

// begin has a splice run until the end of the test, or until end is called.
func begin(t *testing.T, s *splice) (end func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); s.run() }()
	end = func() { s.Close(); <-done }
	t.Cleanup(end)
	return end
}

// A connection on which a query has come that nobody has read is not at rest,
// however long ago its last byte passed.
func TestSpliceSeesTheUnread(t *testing.T) {
	t.Parallel()
	client, server, s := joined(t)
	io.WriteString(client, "query")
	eventually(t, "the query has come", func() bool { return s.client.queued() > 0 })
	if !s.Unread() {
		t.Fatal("a query that is unread is not seen")
	}
	begin(t, s)
	hear(t, server, "query")
	if s.Unread() {
		t.Error("a query that was read is taken for unread")
	}
}

// What has come before anybody looks is noticed, although one event stands for
// all of it: the end of a connection, its reset, what follows urgent data.
func TestSpliceMissesNothingThatCameAtOnce(t *testing.T) {
	t.Parallel()
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
				client, server, s := joined(t)
				leaver, other, ours := client, server, s.client
				if side == "server" {
					leaver, other, ours = server, client, s.server
				}
				io.WriteString(leaver, "last")
				say(leaver)
				eventually(t, "both have come", func() (over bool) {
					ours.raw.Control(func(fd uintptr) { over = ours.queued() > 0 && hungUp(fd) })
					return over
				})
				begin(t, s)
				hear(t, other, "last")
				if n, err := other.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
					t.Errorf("instead of the end came %d bytes, %v", n, err)
				}
			})
		}
	}
	t.Run("urgent", func(t *testing.T) {
		t.Parallel()
		client, server, s := joined(t)
		io.WriteString(client, "before")
		raw, err := client.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { err = syscall.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) })
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(client, "after")
		eventually(t, "all has come", func() bool { return s.client.received(t) >= len("before!after") })
		begin(t, s)
		hear(t, server, "beforeafter")
	})
}

// Closing waits for whoever reads, who must not go on as long as something comes.
func TestLaneTakesNothingWhileItIsClosed(t *testing.T) {
	t.Parallel()
	client, _, s := joined(t)
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
func TestSpliceHolds(t *testing.T) {
	t.Parallel()
	client, server, s := joined(t)
	end := begin(t, s)
	s.Hold()
	io.WriteString(client, "query")
	eventually(t, "the query has come", func() bool { return s.Rest().Waiting })
	io.WriteString(server, "news")
	hear(t, client, "news")
	if !s.Rest().Waiting {
		t.Error("the query that is held back does not count")
	}
	io.WriteString(client, ", and more of it")
	server.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := server.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Errorf("the server heard %d bytes, %v", n, err)
	}
	s.Resume()
	server.SetReadDeadline(time.Now().Add(time.Minute))
	hear(t, server, "query, and more of it")

	s.Hold()
	io.WriteString(client, "another")
	eventually(t, "another one has come", func() bool { return s.Rest().Waiting })
	s.Close()
	s.Resume()
	end()
	if n, err := server.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server heard %d bytes, %v", n, err)
	}
}
