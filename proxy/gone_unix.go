//go:build unix

package proxy

import (
	"context"
	"net"
	"syscall"
	"time"
)

// watchParked cancels with errClientGone when a parked client closes its
// connection. It looks without taking anything: what the client has sent is
// the back end's. A client that has sent something is not watched any longer,
// since an end that comes after it cannot be seen from here.
func watchParked(client net.Conn, gone context.CancelCauseFunc) (stop func()) {
	tcp, ok := client.(*net.TCPConn)
	if !ok {
		return func() {}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if ended(raw, func() bool { return false }) {
			gone(errClientGone)
		}
	}()
	return func() {
		tcp.SetReadDeadline(time.Unix(1, 0))
		<-done
		tcp.SetReadDeadline(time.Time{})
	}
}

// ended waits until the peer sends something or ends the connection, and says
// whether it was the end. It takes nothing. While unread says that more than
// the end is to come, what is sent is waited past, as far as the system can
// look behind it. The deadline for reading ends it with false.
func ended(raw syscall.RawConn, unread func() bool) bool {
	over := false
	err := raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		if err == syscall.EAGAIN || err == syscall.EINTR {
			return false // wait for the next sign
		}
		over = err != nil || n == 0
		if !over && unread() {
			over = hungUp(fd)
			return over
		}
		return true
	})
	return err == nil && over
}
