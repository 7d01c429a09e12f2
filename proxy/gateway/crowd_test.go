package gateway

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// Many that say nothing, and come again as soon as they are sent away, do not
// keep the daemon out.
func TestCrowd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Begin()
	<-w.Up()
	ctx, cancel := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	defer crowd.Wait()
	defer cancel()
	in := make(chan struct{}, 2*maxGreeting)
	for range cap(in) {
		crowd.Go(func() {
			pod := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
			for first := true; ctx.Err() == nil; first = false {
				conn, err := pod.DialContext(ctx, "tcp", w.config.control())
				if err != nil {
					continue
				}
				if first {
					in <- struct{}{}
				}
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				io.Copy(io.Discard, conn)
				stop()
				conn.Close()
			}
		})
	}
	for range cap(in) {
		<-in
	}
	for range 5 {
		w.stop()
		w.connect()
		w.Begin()
		asking, over := context.WithTimeout(t.Context(), greetTimeout)
		if err := w.Remove("a")(asking); err != nil {
			t.Errorf("the daemon is not listened to: %v", err)
		}
		over()
	}
}
