//go:build !unix

package proxy

import (
	"context"
	"net"
	"syscall"
)

// watchParked cannot look at a connection without reading from it here; the
// limits of the pool's waiting have to do.
func watchParked(net.Conn, context.CancelCauseFunc) (stop func()) { return func() {} }

func ended(syscall.RawConn, func() bool) bool { return false }
