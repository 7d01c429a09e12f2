//go:build !linux

package proxy

import "net"

var listenConfig net.ListenConfig
