//go:build !unix

package proxy

import (
	"context"
	"net"
)

// watchParked cannot look at a connection without reading from it here; the
// limits of the pool's waiting have to do.
func watchParked(net.Conn, context.CancelCauseFunc) (stop func()) { return func() {} }
