//go:build !linux

package proxy

import (
	"context"
	"net"
)

// reactors are there on Linux only.
type reactors struct{}

func (*reactors) open() error                        { return nil }
func (*reactors) run(context.Context)                {}
func (*reactors) join(client, server net.Conn) joint { return nil }
