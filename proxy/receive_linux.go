package proxy

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tellMore has receiveNow tell whether there is more. Linux can since 4.18.
func tellMore(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_INQ, 1)
}

// receiveNow reads, and says whether there is more, or the end, to be read at
// once. The end by a reset is not told.
func receiveNow(fd uintptr, p []byte) (n int, more bool, err error) {
	var told struct {
		syscall.Cmsghdr
		queued int32
	}
	part := syscall.Iovec{Base: unsafe.SliceData(p)}
	part.SetLen(len(p))
	message := syscall.Msghdr{Iov: &part, Iovlen: 1, Control: (*byte)(unsafe.Pointer(&told))}
	message.SetControllen(int(unsafe.Sizeof(told)))
	for {
		n, _, err := syscall.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&message)), 0)
		switch err {
		case 0:
			known := told.Level == unix.IPPROTO_TCP && told.Type == unix.TCP_CM_INQ
			return int(n), !known || told.queued > 0, nil
		case syscall.EINTR:
		default:
			return 0, false, err
		}
	}
}
