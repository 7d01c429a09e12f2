package accept

import (
	"errors"
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

	mu              sync.Mutex // held while fd is in use
	fd              int        // gone once it is known, or closed
	readBy, writeBy time.Time  // the deadlines, for when it is known
}

// known is the connection as package net has it.
type known struct {
	*net.TCPConn
	raw syscall.RawConn
}

const gone = -1

func newConn(fd int, remote *net.TCPAddr) *Conn { return &Conn{fd: fd, remote: remote} }

// Socket is conn as package net has it, which is what moves bytes within the
// kernel, if it is a connection of TCP.
func Socket(conn net.Conn) (*net.TCPConn, bool) {
	switch conn := conn.(type) {
	case *net.TCPConn:
		return conn, true
	case *Conn:
		if k, err := conn.meet(); err == nil {
			return k.TCPConn, true
		}
	}
	return nil, false
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
	conn, err := net.FileConn(file) // of a copy
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	k := &known{TCPConn: conn.(*net.TCPConn)}
	if k.raw, err = k.SyscallConn(); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	if !c.readBy.IsZero() {
		k.SetReadDeadline(c.readBy)
	}
	if !c.writeBy.IsZero() {
		k.SetWriteDeadline(c.writeBy)
	}
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

// SyscallConn gives access to the socket. What is called with the descriptor
// must not use the connection in another way.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return (*rawConn)(c), nil }

type rawConn Conn

func (c *rawConn) Read(f func(fd uintptr) bool) error {
	k, err := (*Conn)(c).try(f)
	if k == nil {
		return err
	}
	return k.raw.Read(f)
}

func (c *rawConn) Write(f func(fd uintptr) bool) error {
	k, err := (*Conn)(c).try(f)
	if k == nil {
		return err
	}
	return k.raw.Write(f)
}

func (c *rawConn) Control(f func(fd uintptr)) error {
	k, err := (*Conn)(c).try(func(fd uintptr) bool {
		f(fd)
		return true
	})
	if k == nil {
		return err
	}
	return k.raw.Control(f)
}

func (c *Conn) Read(p []byte) (int, error) {
	k, err := c.meet()
	if err != nil {
		return 0, err
	}
	return k.Read(p)
}

func (c *Conn) Write(p []byte) (int, error) {
	k, err := c.meet()
	if err != nil {
		return 0, err
	}
	return k.Write(p)
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
	if k := c.known.Load(); k != nil {
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
	if k, err := c.meet(); err == nil {
		return k.LocalAddr()
	}
	return &net.TCPAddr{}
}

func (c *Conn) RemoteAddr() net.Addr { return c.remote }

func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.limit(&c.readBy, t, (*net.TCPConn).SetReadDeadline)
}

func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.limit(&c.writeBy, t, (*net.TCPConn).SetWriteDeadline)
}

func (c *Conn) limit(later *time.Time, t time.Time, set func(*net.TCPConn, time.Time) error) error {
	if c.known.Load() == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case c.known.Load() != nil:
		case c.fd == gone:
			return net.ErrClosed
		default:
			*later = t
			return nil
		}
	}
	return set(c.known.Load().TCPConn, t)
}
