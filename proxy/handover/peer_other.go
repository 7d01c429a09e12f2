//go:build !linux && !darwin

package handover

import "os"

// peer relies on the mode of the socket's file and of its directory, and knows
// no number.
func peer(int) (user, process int, err error) { return os.Geteuid(), 0, nil }
