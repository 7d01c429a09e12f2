// Package lines keeps open sockets that a process was handed, until a proxy
// takes them over instead of opening its own.
package lines

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
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

// Flow is what one client of UDP and a back end say to each other.
type Flow struct {
	Address string // of the line that the client speaks to
	Client  netip.AddrPort
	Backend string   // its ID
	Socket  *os.File `json:"-"` // a copy of that by whose address the back end knows the client
}

// Set is safe for concurrent use. A nil one is empty. Nothing is accepted or
// read from its sockets before Free: until then the other process does.
type Set struct {
	free chan struct{}

	mu    sync.Mutex
	tcp   map[string]*net.TCPListener
	udp   map[string]*net.UDPConn
	flows map[string]chan []Flow // of the UDP lines that were taken
}

// New makes an empty set.
func New() *Set {
	return &Set{
		free: make(chan struct{}), tcp: map[string]*net.TCPListener{}, udp: map[string]*net.UDPConn{},
		flows: map[string]chan []Flow{},
	}
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
		l, failed := net.FileListener(file)
		tcp, ok := l.(*net.TCPListener)
		if failed != nil || !ok {
			return errors.Join(failed, errors.ErrUnsupported)
		}
		s.tcp[address] = tcp
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

// TCP gives the listener of an address, once, or nil. Nothing may be accepted
// from it before free is closed.
func (s *Set) TCP(address string) (l *net.TCPListener, free <-chan struct{}) {
	if s == nil {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l = s.tcp[address]
	delete(s.tcp, address)
	return l, s.free
}

// UDP gives the socket of an address, once, or nil. Nothing may be read from it
// before free gives what goes on there.
func (s *Set) UDP(address string) (conn *net.UDPConn, free <-chan []Flow) {
	if s == nil {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	conn = s.udp[address]
	if conn == nil {
		return nil, nil
	}
	delete(s.udp, address)
	s.flows[address] = make(chan []Flow, 1)
	return conn, s.flows[address]
}

// Free says that the other process uses the sockets no more, and which flows it
// had, and closes what nobody has taken. It is called once.
func (s *Set) Free(flows []Flow) error {
	if s == nil {
		return nil
	}
	close(s.free)
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	of := map[string][]Flow{}
	for _, f := range flows {
		if s.flows[f.Address] == nil {
			errs = append(errs, f.Socket.Close())
			continue
		}
		of[f.Address] = append(of[f.Address], f)
	}
	for address, free := range s.flows {
		free <- of[address]
	}
	for _, l := range s.tcp {
		errs = append(errs, l.Close())
	}
	for _, c := range s.udp {
		errs = append(errs, c.Close())
	}
	clear(s.tcp)
	clear(s.udp)
	clear(s.flows)
	return errors.Join(errs...)
}
