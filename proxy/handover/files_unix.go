//go:build unix

package handover

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const supported = true

// socketPair gives both ends of a connection.
func socketPair() (a, b *os.File, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return os.NewFile(uintptr(fds[0]), "testator"), os.NewFile(uintptr(fds[1]), "heir"), nil
}

// sendFiles sends one byte with all of files.
func (c Conn) sendFiles(files []syscall.Conn) error {
	var fds []int
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	for _, f := range files {
		raw, err := f.SyscallConn()
		if err != nil {
			return err
		}
		// A copy of our own cannot be closed in the meantime. It is no os.File,
		// which would take the socket out of non-blocking mode for everybody.
		var copyErr error
		err = raw.Control(func(fd uintptr) {
			var copied int
			if copied, copyErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); copyErr == nil {
				fds = append(fds, copied)
			}
		})
		if err != nil {
			return err
		}
		if copyErr != nil {
			return copyErr
		}
	}
	_, _, err := c.WriteMsgUnix([]byte{0}, unix.UnixRights(fds...), nil)
	return err
}

// receiveFiles reads one byte and the files with it, as many as are due.
func (c Conn) receiveFiles(due int) (files []*os.File, err error) {
	var mark [1]byte
	oob := make([]byte, unix.CmsgSpace(4*atOnce))
	n, got, flags, _, err := c.ReadMsgUnix(mark[:], oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:got])
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), fmt.Sprintf("handed over %d", fd)))
		}
	}
	if n != 1 || len(files) != due || flags&unix.MSG_CTRUNC != 0 {
		return files, fmt.Errorf("%d came, %d were announced", len(files), due)
	}
	return files, nil
}
