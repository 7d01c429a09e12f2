//go:build !linux

package accept

import "net"

// Lazily gives a second way to accept what comes to a listener, where there is a
// cheaper one for connections that bring along what is to be read. Here there is
// not. Both are to be closed.
func Lazily(l *net.TCPListener) (net.Listener, error) { return l, nil }

// Socket is conn as package net has it, which is what moves bytes within the
// kernel, if it is a connection of TCP.
func Socket(conn net.Conn) (*net.TCPConn, bool) {
	socket, ok := conn.(*net.TCPConn)
	return socket, ok
}
