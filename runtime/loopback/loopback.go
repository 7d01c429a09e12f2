// Package loopback connects to servers that listen on nothing but the loopback
// address. It runs in a container that shares a Pod's network, where that address
// is the Pod's, and carries one connection over its standard streams.
package loopback

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
)

// Command is the argument by which skiff's program does this work. A port follows.
const Command = "loopback"

// Connected is the first byte of the output once the connection stands; an error's
// text does not begin so.
const Connected = 0

// Run carries a connection to the port that the argument behind Command names,
// until the server ends it, in good order or not.
func Run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("%s: want a port, not %q", Command, args)
	}
	if _, err := strconv.ParseUint(args[0], 10, 16); err != nil {
		return fmt.Errorf("%s: %w", Command, err)
	}
	conn, err := dial(ctx, args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := out.Write([]byte{Connected}); err != nil {
		return err
	}
	go func() { // ends with the process at the latest
		_, _ = io.Copy(conn, in)
		_ = conn.CloseWrite()
	}()
	_, _ = io.Copy(out, conn)
	return nil // an error's text would go where the server's words go
}

// dial tries both loopback addresses, as Kubernetes does. Not every Pod has the
// second one: what is wrong with the first is what is told.
func dial(ctx context.Context, port string) (*net.TCPConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		var second error
		if conn, second = d.DialContext(ctx, "tcp", net.JoinHostPort("::1", port)); second != nil {
			return nil, err
		}
	}
	return conn.(*net.TCPConn), nil
}
