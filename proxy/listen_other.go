//go:build !linux

package proxy

import (
	"net"
	"time"
)

func listenConfig() *net.ListenConfig { return new(net.ListenConfig) }

// limitUnread does nothing where the kernel does not look after that.
func limitUnread(net.Listener, time.Duration) error { return nil }
