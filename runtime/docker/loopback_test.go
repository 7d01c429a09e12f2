package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestDialLoopback talks to a server in a container, and to none.
func TestDialLoopback(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	bringProgram(t, e)
	s := spec(t, e, "serve")
	id := start(t, e, s)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := e.DialLoopback(ctx, s.Pod, id, 8080)
	for err != nil && strings.Contains(err.Error(), "connection refused") && ctx.Err() == nil { // it listens in a moment
		conn, err = e.DialLoopback(ctx, s.Pod, id, 8080)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// The server hears that no more comes, and ends the connection from its side.
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(answer), "\r\n\r\n"+s.Hostname) {
		t.Errorf("the answer is %q, %v", answer, err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}

	var refused net.Conn
	if refused, err = e.DialLoopback(ctx, s.Pod, id, 1); err == nil || !strings.Contains(err.Error(), "dial tcp 127.0.0.1:1: connect: connection refused") {
		t.Errorf("to a port that nobody listens at: %v, %v", refused, err)
	}
	// Who has no turn waits for one, and those that are over have theirs no more.
	if n := len(e.forwarders); n != 0 {
		t.Errorf("%d forwarders are counted that are gone", n)
	}
	for range forwardersAtOnce {
		e.forwarders <- struct{}{}
	}
	soon, end := context.WithTimeout(ctx, 10*time.Millisecond)
	defer end()
	if _, err = e.DialLoopback(soon, s.Pod, id, 8080); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "are forwarded already") {
		t.Errorf("one more than there may be: %v", err)
	}
	list, err := e.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Errorf("left: %+v, %v", list, err)
	}
}
