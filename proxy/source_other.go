//go:build !linux

package proxy

import "net"

// source reads from a connection.
type source struct{ conn net.Conn }

func newSource(conn net.Conn) *source { return &source{conn} }

func (s *source) next() (*[]byte, error) { return readChunk(s.conn) }

func (s *source) queued() int { return 0 }
