//go:build !unix

package handover

import (
	"os"
	"syscall"
)

const supported = false

func socketPair() (a, b *os.File, err error) { return nil, nil, ErrUnsupported }

func (c Conn) sendFiles([]syscall.Conn) error { return ErrUnsupported }

func (c Conn) receiveFiles(int) ([]*os.File, error) { return nil, ErrUnsupported }
