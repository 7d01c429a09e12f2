package proxy

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listenConfig leaves to inherit what net would ask for on each connection.
// Between addresses of one machine there is only one path.
func listenConfig() *net.ListenConfig {
	c := &net.ListenConfig{KeepAlive: -1}
	c.SetMultipathTCP(false)
	return c
}

// inherit sets what connections inherit from a listener, whoever has opened it,
// where net would ask for most of it on each connection. unread bounds how long a
// client may take nothing of what is sent to it, after which the kernel ends its
// connection; 0: for ever. Where clients begin, a connection is accepted once it
// has something to read, or after a second or two.
func inherit(l net.Listener, unread time.Duration, clientBegins bool) error {
	socket, ok := l.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	wait := 0
	if clientBegins {
		wait = 1 // s, which the kernel rounds up to its own times
	}
	const seconds, probes = 15, 9 // as net does
	err = ask(raw, [][3]int{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probes},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, wait},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unread.Milliseconds())},
	})
	if err == unix.ENOPROTOOPT { // another process opened it for several paths
		return nil
	}
	return err
}

// ask sets options of a socket, each by its level, name and value.
func ask(raw syscall.RawConn, options [][3]int) (err error) {
	failed := raw.Control(func(fd uintptr) {
		for _, o := range options {
			if err == nil {
				err = unix.SetsockoptInt(int(fd), o[0], o[1], o[2])
			}
		}
	})
	if failed != nil {
		return failed
	}
	return err
}
