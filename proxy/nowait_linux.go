package proxy

import (
	"syscall"
	"unsafe"
)

// readNow and writeNow are for sockets that do not block. The scheduler is not
// told of these calls: where more wants to run than there are processors,
// whoever is sent something often runs before we do again, and the scheduler
// would take us for blocked and have another thread go on.

func readNow(fd uintptr, p []byte) (int, error) { return callNow(syscall.SYS_READ, fd, p) }

func writeNow(fd uintptr, p []byte) (int, error) { return callNow(syscall.SYS_WRITE, fd, p) }

func callNow(call, fd uintptr, p []byte) (int, error) {
	for {
		n, _, err := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch err {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, err
		}
	}
}
