package proxy

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// A client that does not read a long answer does not hold up the drain beyond
// its deadline, whichever way the answer goes.
func TestDrainIsNotHeldUpByWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	const long = 64 << 20 // more than all buffers on the way
	for name, ask := range map[string]func(t *testing.T, plain, secure string, trust *x509.CertPool){
		"of known length":        unread("GET /known HTTP/1.1\r\nHost: a.test\r\n\r\n", false),
		"in chunks":              unread("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", false),
		"of known length on TLS": unread("GET /known HTTP/1.1\r\nHost: a.test\r\n\r\n", true),
		"in chunks on TLS":       unread("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", true),
		"from HTTP/2":            unread("GET / HTTP/1.1\r\nHost: h2.test\r\n\r\n", false),
		"events":                 unread("GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n", false),
		"to HTTP/2": func(t *testing.T, _, secure string, trust *x509.CertPool) {
			res, err := http2Client(t, secure, trust).Get("https://a.test/")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { res.Body.Close() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var written atomic.Int64
			plain, secure, f, trust := newDoors(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				part := bytes.Repeat([]byte("data: 0123456789\n\n"), 1<<10)
				switch r.URL.Path {
				case "/known":
					w.Header().Set("Content-Length", fmt.Sprint(long/len(part)*len(part)))
				case "/events":
					w.Header().Set("Content-Type", "text/event-stream")
				}
				for range long / len(part) {
					if _, err := w.Write(part); err != nil {
						return
					}
					written.Add(1)
				}
				t.Error("the whole answer fits")
			}))
			ask(t, plain, secure, trust)
			var before int64
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for now := written.Load(); now == 0 || now != before; now = written.Load() { // until everything is full
				before = now
				<-tick.C
			}
			id := f.pool.Snapshot().Backends[0].ID
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := f.pool.Drain(ctx, id, 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// unread sends a request whose answer nobody reads.
func unread(request string, secretly bool) func(t *testing.T, plain, secure string, trust *x509.CertPool) {
	return func(t *testing.T, plain, secure string, trust *x509.CertPool) {
		conn, err := net.Dial("tcp", plain)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if secretly {
			conn = dialTLS(t, secure, trust)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
	}
}
