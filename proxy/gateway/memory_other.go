//go:build !linux

package gateway

// Small does nothing where no gateway runs.
func Small() {}
