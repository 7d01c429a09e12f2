//go:build !linux

package proxy

func (w *wire) queued() int { return 0 }
