package accept

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lazily opens a listener, and one client at a time.
type lazily struct {
	tcp  *net.TCPListener
	lazy net.Listener
}

func listenLazily(t *testing.T, address string) *lazily {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	lazy, err := Lazily(l.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lazy.Close() })
	return &lazily{tcp: l.(*net.TCPListener), lazy: lazy}
}

// join gives both ends of a connection.
func (l *lazily) join(t *testing.T) (client net.Conn, server *Conn) {
	t.Helper()
	client, err := net.Dial("tcp", l.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	conn, err := l.lazy.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return client, conn.(*Conn)
}

// readNow takes what is there, or, if wait is set, what comes first.
func readNow(conn *Conn, wait bool) (text string, err error) {
	raw, _ := conn.SyscallConn()
	failed := raw.Read(func(fd uintptr) bool {
		var buf [64]byte
		n, e := unix.Read(int(fd), buf[:])
		text, err = string(buf[:max(0, n)]), e
		return e != syscall.EAGAIN || !wait
	})
	return text, errors.Join(failed, err)
}

// readable returns when something can be read.
func readable(t *testing.T, conn *Conn) {
	t.Helper()
	raw, _ := conn.SyscallConn()
	raw.Control(func(fd uintptr) {
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000); n != 1 || err != nil {
			t.Errorf("nothing to read: %d, %v", n, err)
		}
	})
}

func TestPollerIsLeftOut(t *testing.T) {
	t.Parallel()
	client, conn := listenLazily(t, "127.0.0.1:0").join(t)
	io.WriteString(client, "question")
	readable(t, conn)
	if text, err := readNow(conn, true); text != "question" || err != nil {
		t.Fatalf("read %q, %v", text, err)
	}
	raw, _ := conn.SyscallConn()
	raw.Write(func(fd uintptr) bool {
		unix.Write(int(fd), []byte("answer"))
		return true
	})
	if conn.known.Load() != nil {
		t.Error("nobody waited, and still the poller was told of the connection")
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(client); string(text) != "answer" || err != nil {
		t.Errorf("the client heard %q, %v", text, err)
	}
}

func TestPollerIsAskedToWait(t *testing.T) {
	t.Parallel()
	client, conn := listenLazily(t, "127.0.0.1:0").join(t)
	if _, err := readNow(conn, false); !errors.Is(err, syscall.EAGAIN) {
		t.Fatalf("read what is not there: %v", err)
	}
	conn.SetReadDeadline(time.Unix(1, 0))
	if _, err := readNow(conn, true); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a deadline that was set before: %v", err)
	}
	conn.SetReadDeadline(time.Time{})
	heard := make(chan string)
	go func() {
		text, _ := readNow(conn, true)
		heard <- text
	}()
	io.WriteString(client, "late")
	if text := <-heard; text != "late" {
		t.Errorf("read %q", text)
	}
	if _, err := io.WriteString(conn, "answer"); err != nil {
		t.Error(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Error(err)
	}
	if text, err := io.ReadAll(client); string(text) != "answer" || err != nil {
		t.Errorf("the client heard %q, %v", text, err)
	}
	io.WriteString(client, "more")
	var buf [4]byte
	if _, err := io.ReadFull(conn, buf[:]); string(buf[:]) != "more" {
		t.Errorf("behind the end of the answer came %q, %v", buf, err)
	}
}

// Who has to wait takes no descriptor more, of which there may be none, and who
// waits already goes on when the connection becomes one of package net.
func TestNoDescriptorIsLeft(t *testing.T) { // and none for tests that run at the same time
	client, conn := listenLazily(t, "127.0.0.1:0").join(t)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	restore := sync.OnceFunc(func() { syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) })
	defer restore()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Unix(1, 0))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wait for what does not come: %v", err)
	}
	conn.SetReadDeadline(time.Time{})
	if _, ok := Socket(conn); ok {
		t.Error("there was a descriptor")
	}
	raw, _ := conn.SyscallConn()
	for _, another := range []bool{false, true} {
		waits, heard := make(chan struct{}), make(chan string)
		go func() {
			begun := sync.OnceFunc(func() { close(waits) })
			defer begun()
			var buf [64]byte
			n := 0
			err := raw.Read(func(fd uintptr) bool {
				n, _ = unix.Read(int(fd), buf[:])
				begun()
				return n >= 0
			})
			if err != nil {
				t.Error(err)
			}
			heard <- string(buf[:max(0, n)])
		}()
		<-waits
		if another {
			restore()
			if socket, ok := Socket(conn); !ok || socket.RemoteAddr().String() != conn.RemoteAddr().String() {
				t.Error("it is none of package net")
			}
			conn.SetWriteDeadline(time.Unix(1, 0))
			if _, err := conn.Write([]byte("a")); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a deadline that was set after: %v", err)
			}
		}
		io.WriteString(client, "late")
		if text := <-heard; text != "late" {
			t.Errorf("read %q", text)
		}
	}
}

func TestCloseWhileOthersUseIt(t *testing.T) {
	t.Parallel()
	l := listenLazily(t, "127.0.0.1:0")
	for _, use := range []func(conn *Conn) error{
		func(conn *Conn) error { _, err := readNow(conn, true); return err },
		func(conn *Conn) error { _, err := conn.Read(make([]byte, 1)); return err },
		func(conn *Conn) error {
			for { // ends with the connection
				raw, _ := conn.SyscallConn()
				if err := raw.Control(func(uintptr) {}); err != nil {
					return err
				}
			}
		},
	} {
		_, conn := l.join(t)
		var users sync.WaitGroup
		for range 4 {
			users.Go(func() {
				if err := use(conn); !errors.Is(err, net.ErrClosed) {
					t.Errorf("use what was closed: %v", err)
				}
			})
		}
		conn.Close()
		users.Wait()
		if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("close it again: %v", err)
		}
		if err := conn.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("set its deadline: %v", err)
		}
	}
}

func TestAddressesOfClients(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		client, conn := listenLazily(t, address).join(t)
		if got, want := conn.RemoteAddr().String(), client.LocalAddr().String(); got != want {
			t.Errorf("the client at %s looks like one at %s", want, got)
		}
		if got, want := conn.LocalAddr().String(), client.RemoteAddr().String(); got != want {
			t.Errorf("it connected to %s, which looks like %s", want, got)
		}
	}
}

func TestClosedListener(t *testing.T) {
	t.Parallel()
	l := listenLazily(t, "127.0.0.1:0")
	ended := make(chan bool)
	go func() {
		_, ok := Next(l.lazy, slog.New(slog.DiscardHandler))
		ended <- ok
	}()
	l.lazy.Close()
	if <-ended {
		t.Error("a closed listener has accepted a connection")
	}
}
