package handover

import "golang.org/x/sys/unix"

// peer asks the kernel who is at the other end of a socket.
func peer(fd int) (user, process int, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, err
	}
	return int(cred.Uid), int(cred.Pid), nil
}
