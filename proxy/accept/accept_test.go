package accept

import (
	"log/slog"
	"net"
	"syscall"
	"testing"
)

// full is a listener that has no descriptor for the first connection.
type full struct {
	net.Listener
	failed bool
}

func (l *full) Accept() (net.Conn, error) {
	if !l.failed {
		l.failed = true
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestGoesOnWithoutDescriptors(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	served := 0
	Each(&full{Listener: inner}, slog.New(slog.DiscardHandler), func(conn net.Conn) {
		served++
		conn.Close()
		inner.Close()
	})
	if served != 1 {
		t.Errorf("%d connections served", served)
	}
}
