package proxy

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skiff/proxy/pool"
)

// A client that pauses within a body for too long is told so, on either path.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	for name, field := range map[string]string{"lean": "", "rare": "Expect: 100-continue\r\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := New(Options{Dial: func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					go io.Copy(io.Discard, far)
					return near, nil
				}})
				backends := p.NewPool()
				defer backends.Close()
				backends.Replace([]pool.Member{{ID: "a", Address: "a:1"}}, pool.Expectation{})
				inner := newRareListener(&net.TCPAddr{})
				l := newListener(p, entrance{inner, inner, atOnce}, Listener{Mode: HTTP, Pool: backends})
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					l.run(context.WithoutCancel(t.Context()))
				}()
				conn, served := net.Pipe()
				inner.take(served)
				heard := make(chan string, 1)
				go func() {
					all, _ := io.ReadAll(conn)
					heard <- string(all)
				}()
				io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\n"+field+"Content-Length: 10\r\n\r\n")
				var last time.Time
				for range 3 { // slow, but it comes
					time.Sleep(bodyTimeout / 2)
					io.WriteString(conn, "x")
					last = time.Now()
				}
				answer := <-heard
				if d := time.Since(last); d < bodyTimeout || d > bodyTimeout+time.Second || !strings.Contains(answer, " 408 ") {
					t.Errorf("after %s the answer is %q", d, answer)
				}
				if n := backends.Snapshot().Failures[pool.Refused]; n != 1 {
					t.Errorf("%d requests failed by the client's fault", n)
				}
				conn.Close()
				inner.Close()
				<-ended
			})
		})
	}
}
