// Package lines keeps open sockets that a process was handed, until a proxy
// takes them over instead of opening its own.
package lines

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
)

// Line is a socket that is listened at.
type Line struct {
	Network string // "tcp" or "udp"
	Address string // by which the proxy knows it
	Socket  syscall.Conn
}

// Set is safe for concurrent use. A nil one is empty.
type Set struct {
	free chan struct{}

	mu  sync.Mutex
	tcp map[string]net.Listener
	udp map[string]*net.UDPConn
}

// New makes an empty set.
func New() *Set {
	return &Set{free: make(chan struct{}), tcp: map[string]net.Listener{}, udp: map[string]*net.UDPConn{}}
}

// Add enters a socket that was handed over as a file, which it closes.
func (s *Set) Add(network, address string, file *os.File) (err error) {
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			err = fmt.Errorf("take over %s: %w", address, err)
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch network {
	case "tcp":
		s.tcp[address], err = net.FileListener(file)
	case "udp":
		conn, failed := net.FilePacketConn(file)
		udp, ok := conn.(*net.UDPConn)
		if failed != nil || !ok {
			return errors.Join(failed, errors.ErrUnsupported)
		}
		s.udp[address] = udp
	default:
		err = fmt.Errorf("network %q: %w", network, errors.ErrUnsupported)
	}
	return err
}

// TCP gives the listener of an address, once, or nil.
func (s *Set) TCP(address string) net.Listener {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.tcp[address]
	delete(s.tcp, address)
	return l
}

// UDP gives the socket of an address, once, or nil. Nothing may be read from it
// before free is closed: until then the other process does, and a client has
// its conversation there.
func (s *Set) UDP(address string) (conn *net.UDPConn, free <-chan struct{}) {
	if s == nil {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	conn = s.udp[address]
	delete(s.udp, address)
	return conn, s.free
}

// Free says that the other process uses the sockets no more, and closes those
// that nobody has taken. It is called once.
func (s *Set) Free() error {
	if s == nil {
		return nil
	}
	close(s.free)
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, l := range s.tcp {
		errs = append(errs, l.Close())
	}
	for _, c := range s.udp {
		errs = append(errs, c.Close())
	}
	clear(s.tcp)
	clear(s.udp)
	return errors.Join(errs...)
}
