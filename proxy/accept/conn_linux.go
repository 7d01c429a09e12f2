package accept

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connection that the runtime's poller does not know before somebody
// has to wait for it. One that brings its request along, is answered and ends
// costs six system calls less. It may be used from several goroutines, as any
// net.Conn. Until it is known, a deadline that has passed ends nothing that can
// be done without waiting.
type Conn struct {
	remote *net.TCPAddr
	known  atomic.Pointer[known] // nil: it is not, or it is closed

	mu              sync.Mutex // held while fd is in use, and while known changes
	fd              int        // gone once it is known, or closed
	readBy, writeBy time.Time  // the deadlines
}

// known is the connection as the poller knows it.
type known struct {
	descriptor
	raw syscall.RawConn
}

// descriptor is an *os.File, which is had by two system calls and takes no other
// descriptor, or a *net.TCPConn, once there has to be one.
type descriptor interface {
	io.ReadWriteCloser
	syscall.Conn
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

const gone = -1

func newConn(fd int, remote *net.TCPAddr) *Conn { return &Conn{fd: fd, remote: remote} }

// Socket is conn as package net has it, which is what moves bytes within the
// kernel, if it is a connection of TCP and a descriptor for that is left.
func Socket(conn net.Conn) (*net.TCPConn, bool) {
	switch conn := conn.(type) {
	case *net.TCPConn:
		return conn, true
	case *Conn:
		if socket, err := conn.socket(); err == nil {
			return socket, true
		}
	}
	return nil, false
}

// socket changes what the connection is known as. Who waits goes on with that.
func (c *Conn) socket() (*net.TCPConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.meetLocked()
	if err != nil {
		return nil, err
	}
	file, ok := k.descriptor.(*os.File)
	if !ok {
		return k.descriptor.(*net.TCPConn), nil
	}
	conn, err := net.FileConn(file) // of a copy
	if err != nil {
		return nil, err
	}
	if _, err := c.know(conn.(*net.TCPConn)); err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), file.Close()
}

// meet has the poller know the connection.
func (c *Conn) meet() (*known, error) {
	if k := c.known.Load(); k != nil {
		return k, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.meetLocked()
}

func (c *Conn) meetLocked() (*known, error) {
	if k := c.known.Load(); k != nil {
		return k, nil
	}
	if c.fd == gone {
		return nil, net.ErrClosed
	}
	file := os.NewFile(uintptr(c.fd), "")
	c.fd = gone
	return c.know(file)
}

func (c *Conn) know(as descriptor) (*known, error) {
	raw, err := as.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, as.Close())
	}
	if !c.readBy.IsZero() {
		as.SetReadDeadline(c.readBy)
	}
	if !c.writeBy.IsZero() {
		as.SetWriteDeadline(c.writeBy)
	}
	k := &known{descriptor: as, raw: raw}
	c.known.Store(k)
	return k, nil
}

// try has f use the connection while it is not known. If f has to wait, or has
// not been called, the connection is known from then on.
func (c *Conn) try(f func(fd uintptr) bool) (*known, error) {
	if k := c.known.Load(); k != nil {
		return k, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd != gone && f(uintptr(c.fd)) {
		return nil, nil
	}
	return c.meetLocked()
}

// since says what it means that something has failed by k, which may have been
// closed: as what it is to be tried again, or the error.
func (c *Conn) since(k *known, err error) (again *known, _ error) {
	switch now := c.known.Load(); now {
	case nil:
		return nil, net.ErrClosed
	case k:
		return nil, err
	default:
		return now, nil
	}
}

// SyscallConn gives access to the socket. What is called with the descriptor
// must not use the connection in another way.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return (*rawConn)(c), nil }

type rawConn Conn

func (c *rawConn) Read(f func(fd uintptr) bool) error {
	k, err := (*Conn)(c).try(f)
	for k != nil {
		if err = k.raw.Read(f); err == nil {
			return nil
		}
		k, err = (*Conn)(c).since(k, err)
	}
	return err
}

func (c *rawConn) Write(f func(fd uintptr) bool) error {
	k, err := (*Conn)(c).try(f)
	for k != nil {
		if err = k.raw.Write(f); err == nil {
			return nil
		}
		k, err = (*Conn)(c).since(k, err)
	}
	return err
}

func (c *rawConn) Control(f func(fd uintptr)) error {
	k, err := (*Conn)(c).try(func(fd uintptr) bool {
		f(fd)
		return true
	})
	for k != nil {
		if err = k.raw.Control(f); err == nil {
			return nil
		}
		k, err = (*Conn)(c).since(k, err)
	}
	return err
}

func (c *Conn) Read(p []byte) (n int, err error) {
	k, err := c.meet()
	for k != nil {
		if n, err = k.Read(p); err == nil || err == io.EOF {
			return n, err
		}
		k, err = c.since(k, err)
	}
	return 0, c.failed("read", err)
}

func (c *Conn) Write(p []byte) (n int, err error) {
	k, err := c.meet()
	for k != nil {
		var more int
		if more, err = k.Write(p[n:]); err == nil {
			return n + more, nil
		}
		n += more
		k, err = c.since(k, err)
	}
	return n, c.failed("write", err)
}

// failed puts an error as package net does.
func (c *Conn) failed(op string, err error) error {
	var file *os.PathError
	if errors.As(err, &file) {
		err = os.NewSyscallError(file.Op, file.Err)
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: c.remote, Err: err}
}

// CloseWrite ends the direction to the client.
func (c *Conn) CloseWrite() error {
	var failed error
	err := (*rawConn)(c).Control(func(fd uintptr) { failed = unix.Shutdown(int(fd), unix.SHUT_WR) })
	return errors.Join(err, failed)
}

func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.known.Swap(nil); k != nil {
		return k.Close()
	}
	if c.fd == gone {
		return net.ErrClosed
	}
	syscall.RawSyscall(unix.SYS_CLOSE, uintptr(c.fd), 0, 0) // as acceptNow
	c.fd = gone
	return nil
}

func (c *Conn) LocalAddr() net.Addr {
	var to unix.Sockaddr
	err := (*rawConn)(c).Control(func(fd uintptr) { to, _ = unix.Getsockname(int(fd)) })
	if err == nil {
		switch to := to.(type) {
		case *unix.SockaddrInet4:
			return &net.TCPAddr{IP: to.Addr[:], Port: to.Port}
		case *unix.SockaddrInet6:
			return &net.TCPAddr{IP: to.Addr[:], Port: to.Port}
		}
	}
	return &net.TCPAddr{}
}

func (c *Conn) RemoteAddr() net.Addr { return c.remote }

func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.limit(&c.readBy, t, descriptor.SetReadDeadline)
}

func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.limit(&c.writeBy, t, descriptor.SetWriteDeadline)
}

func (c *Conn) limit(by *time.Time, t time.Time, set func(descriptor, time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.known.Load()
	if k == nil && c.fd == gone {
		return net.ErrClosed
	}
	*by = t
	if k == nil {
		return nil
	}
	return set(k, t)
}
