package handover

import "golang.org/x/sys/unix"

// peer asks the kernel who is at the other end of a socket.
func peer(fd int) (user, process int, err error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, 0, err
	}
	process, err = unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	return int(cred.Uid), process, err
}
