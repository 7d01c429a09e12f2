package proxy

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listenConfig asks once, on the listening socket, for what net would ask for
// on each connection by four system calls: Linux lets connections inherit it.
// Between addresses of one machine there is only one path.
func listenConfig() *net.ListenConfig {
	c := &net.ListenConfig{KeepAlive: -1, Control: keepAlive}
	c.SetMultipathTCP(false)
	return c
}

func keepAlive(_, _ string, raw syscall.RawConn) error {
	const seconds, probes = 15, 9 // as net does
	return ask(raw, [][3]int{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probes},
	})
}

// limitUnread bounds how long a client of the listener may take nothing of what
// is sent to it; 0: for ever. Connections inherit that, and the kernel ends them.
func limitUnread(l net.Listener, d time.Duration) error {
	socket, ok := l.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	err = ask(raw, [][3]int{{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds())}})
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
