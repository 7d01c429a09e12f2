package accept

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lazyListener has the address and the queue of another one, so that either may
// accept what comes there.
type lazyListener struct {
	file   *os.File
	raw    syscall.RawConn
	addr   net.Addr
	closed atomic.Bool
}

// Lazily gives a second way to accept what comes to a listener, as a *Conn each.
// It is the cheaper one where connections bring along what is to be read, as after
// TCP_DEFER_ACCEPT. Both are to be closed.
func Lazily(l *net.TCPListener) (net.Listener, error) {
	file, err := l.File() // net itself does not let others wait for connections
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &lazyListener{file: file, raw: raw, addr: l.Addr()}, nil
}

// Accept waits for a connection. After Close the error is net.ErrClosed.
func (l *lazyListener) Accept() (net.Conn, error) {
	var conn *Conn
	var failed error
	err := l.raw.Read(func(fd uintptr) bool {
		conn, failed = acceptNow(fd)
		return failed != syscall.EAGAIN
	})
	switch {
	case err != nil && l.closed.Load():
		return nil, net.ErrClosed
	case err == nil && failed != nil:
		err = os.NewSyscallError("accept4", failed)
	}
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
	}
	return conn, nil
}

// acceptNow does not tell the scheduler of its call, which does not block: its
// watchdog would be woken up for it. So nobody who shares the socket may make it
// block, as File.Fd does with what net gave: this whole process would stand still.
func acceptNow(fd uintptr) (*Conn, error) {
	for {
		var from unix.RawSockaddrAny
		size := uint32(unix.SizeofSockaddrAny)
		accepted, _, err := syscall.RawSyscall6(unix.SYS_ACCEPT4, fd, uintptr(unsafe.Pointer(&from)),
			uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch err {
		case 0:
			return newConn(int(accepted), net.TCPAddrFromAddrPort(addrPort(&from))), nil
		case syscall.EINTR, syscall.ECONNABORTED: // the client has left already
		default:
			return nil, err
		}
	}
}

func addrPort(from *unix.RawSockaddrAny) netip.AddrPort {
	switch from.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), hostOrder(in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr), hostOrder(in.Port))
	}
	return netip.AddrPort{}
}

// hostOrder turns a port around, which is in the order of the network.
func hostOrder(port uint16) uint16 {
	bytes := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(bytes[0])<<8 | uint16(bytes[1])
}

func (l *lazyListener) Addr() net.Addr { return l.addr }

func (l *lazyListener) Close() error {
	l.closed.Store(true)
	return l.file.Close()
}
