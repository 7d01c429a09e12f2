//go:build !linux

package proxy

import (
	"net"
	"time"
)

func listenConfig() *net.ListenConfig { return new(net.ListenConfig) }

// inherit does nothing where the kernel does not look after that.
func inherit(net.Listener, time.Duration, bool) error { return nil }
