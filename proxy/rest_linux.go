package proxy

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// lastReceived asks the kernel, so that copying can stay there as well.
func lastReceived(conn net.Conn) (received, bool) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return received{}, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return received{}, false
	}
	var info *unix.TCPInfo
	var infoErr error
	err = raw.Control(func(fd uintptr) {
		info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err != nil || infoErr != nil {
		return received{}, false
	}
	return received{
		age:   time.Duration(info.Last_data_recv) * time.Millisecond,
		bytes: info.Bytes_received,
	}, true
}
