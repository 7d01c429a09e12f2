package proxy

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls here do not block. The scheduler is not told of them: where more wants
// to run than there are processors, whoever is sent something often runs before we
// do again, and the scheduler would take us for blocked and have another thread go
// on.

func readNow(fd uintptr, p []byte) (int, error) { return callNow(unix.SYS_RECVFROM, fd, p, 0) }

func writeNow(fd uintptr, p []byte) (int, error) { return callNow(unix.SYS_SENDTO, fd, p, 0) }

// writeLastNow is for the last that is written: it waits for endNow to send it.
func writeLastNow(fd uintptr, p []byte) (int, error) {
	return callNow(unix.SYS_SENDTO, fd, p, unix.MSG_MORE)
}

// endNow ends the direction in which is written. Where that fails the peer has
// ended the connection.
func endNow(fd uintptr) { syscall.RawSyscall(unix.SYS_SHUTDOWN, fd, unix.SHUT_WR, 0) }

func callNow(call, fd uintptr, p []byte, flags uintptr) (int, error) {
	for {
		n, _, err := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags|unix.MSG_DONTWAIT, 0, 0)
		switch err {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, err
		}
	}
}
