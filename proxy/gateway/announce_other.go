//go:build !linux

package gateway

import (
	"errors"
	"net/netip"
)

// Announce needs Linux, which is what a gateway runs on.
func Announce(netip.Prefix) error { return errors.ErrUnsupported }
