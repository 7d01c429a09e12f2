//go:build unix

package handover

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// pair gives both ends of a connection.
func pair(t *testing.T) (a, b Conn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode: %v, %v", info.Mode(), err)
	}
	accepted := make(chan error, 1)
	go func() {
		var err error
		b, err = Accept(l)
		accepted <- err
	}()
	a, err = Dial(t.Context(), path)
	if err := errors.Join(err, <-accepted); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	if a.Process != os.Getpid() || b.Process != os.Getpid() {
		t.Errorf("processes %d and %d instead of %d", a.Process, b.Process, os.Getpid())
	}
	return a, b
}

// More sockets than the kernel takes at once arrive in their order, open and
// not to be inherited by programs that are started.
func TestSockets(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	var files []syscall.Conn
	for range 2*atOnce + 1 {
		l, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		files = append(files, l)
	}
	sent := make(chan error, 1)
	go func() { sent <- a.Send(map[string]string{"a": "b"}, files...) }()
	var got map[string]string
	arrived, err := b.Receive(&got)
	if err := errors.Join(err, <-sent); err != nil {
		t.Fatal(err)
	}
	if len(arrived) != len(files) || got["a"] != "b" {
		t.Fatalf("%d of %d arrived, with %v", len(arrived), len(files), got)
	}
	for n, f := range arrived {
		conn, err := net.FilePacketConn(f)
		if err != nil {
			t.Fatal(err)
		}
		if conn.LocalAddr().String() != files[n].(net.PacketConn).LocalAddr().String() {
			t.Errorf("socket %d is %s", n, conn.LocalAddr())
		}
		if flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_GETFD, 0); errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
			t.Errorf("socket %d would be inherited", n)
		}
		conn.Close()
		f.Close()
	}
}

// A connection that is made for another process is one, at both of its ends.
func TestPair(t *testing.T) {
	t.Parallel()
	own, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	heirs, err := Over(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer heirs.Close()
	sent := make(chan error, 1)
	go func() { sent <- own.Send("word", own) }()
	var got string
	files, err := heirs.Receive(&got)
	if err := errors.Join(err, <-sent); err != nil || got != "word" || len(files) != 1 {
		t.Fatalf("%q and %d files arrived: %v", got, len(files), err)
	}
	files[0].Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Over(file); err == nil {
		t.Error("a listener was taken for a connection of processes")
	}
}

// What comes is bounded, and must be whole.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string][]byte{
		"too long":          {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"too many":          {0, 0, 0, 2, 0xff, 0, 0, 0, '{', '}'},
		"files that do not": {0, 0, 0, 2, 0, 0, 0, 1, '{', '}', 0},
		"no JSON":           {0, 0, 0, 2, 0, 0, 0, 0, '{', '{'},
		"cut":               {0, 0, 0, 9, 0, 0, 0, 0, '{'},
	} {
		a, b := pair(t)
		if _, err := a.Write(bytes); err != nil {
			t.Fatal(err)
		}
		a.Close()
		var got any
		if files, err := b.Receive(&got); err == nil || files != nil {
			t.Errorf("%s: %v, %v", name, got, files)
		}
	}
}
