package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// detach gives a process a group of its own, which the terminal's Ctrl-C does
// not reach, and Ctrl-Break does by its number.
func detach(daemon *exec.Cmd) {
	attributes(daemon).CreationFlags |= windows.CREATE_NEW_PROCESS_GROUP
}

// inherit has a process get file, and says under which number.
func inherit(daemon *exec.Cmd, file *os.File) (number uintptr, err error) {
	handle := file.Fd()
	if err := windows.SetHandleInformation(windows.Handle(handle), windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT); err != nil {
		return 0, err
	}
	a := attributes(daemon)
	a.AdditionalInheritedHandles = append(a.AdditionalInheritedHandles, syscall.Handle(handle))
	return handle, nil
}

func attributes(daemon *exec.Cmd) *syscall.SysProcAttr {
	if daemon.SysProcAttr == nil {
		daemon.SysProcAttr = &syscall.SysProcAttr{}
	}
	return daemon.SysProcAttr
}

// room is not known here.
func room(string) (bytes int64, known bool) { return 0, false }

// terminate asks a process to end, which Windows lets only those of the same
// console do.
func terminate(pid int) error {
	if err := windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(pid)); err != nil {
		return fmt.Errorf("%w; do it from the console in which skiff was started", err)
	}
	return nil
}
