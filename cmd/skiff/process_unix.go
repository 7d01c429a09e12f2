//go:build !windows

package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// detach gives a process a session of its own, which no terminal ends.
func detach(daemon *exec.Cmd) {
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}

// inherit has a process get file, and says under which number.
func inherit(daemon *exec.Cmd, file *os.File) (number uintptr, err error) {
	const first = 3 // after the standard ones
	daemon.ExtraFiles = append(daemon.ExtraFiles, file)
	return uintptr(first + len(daemon.ExtraFiles) - 1), nil
}

// room is how many bytes this user may still write to the disk of dir.
func room(dir string) (bytes int64, known bool) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, false
	}
	return int64(fs.Bavail) * int64(fs.Bsize), true
}

// terminate asks a process to end. One that has ended is no error.
func terminate(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
