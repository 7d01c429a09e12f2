package proxy

import (
	"net"
	"syscall"
)

// listenConfig asks once, on the listening socket, for what net would ask for
// on each connection by four system calls: Linux lets connections inherit it.
var listenConfig = net.ListenConfig{
	KeepAlive: -1,
	Control: func(_, _ string, raw syscall.RawConn) (err error) {
		const seconds, probes = 15, 9 // as net does
		failed := raw.Control(func(fd uintptr) {
			for _, option := range [][3]int{
				{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, seconds},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, seconds},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, probes},
			} {
				if err == nil {
					err = syscall.SetsockoptInt(int(fd), option[0], option[1], option[2])
				}
			}
		})
		if failed != nil {
			return failed
		}
		return err
	},
}
