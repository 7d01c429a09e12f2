//go:build unix && !linux

package proxy

import "syscall"

func readNow(fd uintptr, p []byte) (int, error) { return callNow(syscall.Read, fd, p) }

func writeNow(fd uintptr, p []byte) (int, error) { return callNow(syscall.Write, fd, p) }

// The end comes with the closing of the connection here.
func writeLastNow(fd uintptr, p []byte) (int, error) { return writeNow(fd, p) }

func endNow(uintptr) {}

func callNow(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		if n, err := call(int(fd), p); err != syscall.EINTR {
			return max(0, n), err
		}
	}
}
