package proxy

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// source reads from a connection and takes a buffer only once there is
// something to read.
type source struct {
	conn net.Conn
	raw  syscall.RawConn // nil: no socket of this system
}

func newSource(conn net.Conn) *source {
	s := &source{conn: conn}
	if tcp, ok := conn.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	return s
}

// next returns what came, which the caller gives back with putBuffer.
func (s *source) next() (*[]byte, error) {
	if s.raw == nil {
		return readChunk(s.conn)
	}
	var chunk *[]byte
	var failed error
	err := s.raw.Read(func(fd uintptr) bool {
		buffer := getBuffer()
		n, err := ignoringInterrupts(int(fd), *buffer)
		switch {
		case err == syscall.EAGAIN:
			putBuffer(buffer)
			return false // wait until there is something
		case err != nil:
			failed = err
		case n == 0:
			failed = io.EOF
		default:
			*buffer = (*buffer)[:n]
			chunk = buffer
			return true
		}
		putBuffer(buffer)
		return true
	})
	if err == nil {
		err = failed
	}
	return chunk, err
}

func ignoringInterrupts(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// queued says how much can be read without waiting.
func (s *source) queued() int {
	n := 0
	if s.raw == nil {
		return n
	}
	s.raw.Control(func(fd uintptr) {
		n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ)
	})
	return n
}
