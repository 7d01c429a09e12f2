//go:build !unix

package handover

import (
	"os"
	"syscall"
)

const supported = false

func (c Conn) sendFiles([]syscall.Conn) error { return ErrUnsupported }

func (c Conn) receiveFiles(int) ([]*os.File, error) { return nil, ErrUnsupported }
