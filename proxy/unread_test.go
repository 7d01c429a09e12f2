package proxy

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"skiff/proxy/pool"
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

// A client that takes nothing of its answer gives the back end's connection back
// after a time, and that is counted as its own fault. One that takes a little
// now and then, and one to which nothing is said, are left alone.
func TestWhoDoesNotReadIsGivenUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux looks after what is not read")
	}
	t.Parallel()
	for name, path := range map[string]string{"of known length": "/known", "in chunks": "/", "events": "/events"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, HTTP, Options{})
			f.limitUnread(t, 200*time.Millisecond)
			left := make(chan struct{})
			f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(left)
				endless(w, r)
			})))
			io.WriteString(dialRaw(t, f.address), "GET "+path+" HTTP/1.1\r\nHost: test\r\n\r\n")
			select {
			case <-left:
			case <-time.After(20 * time.Second):
				t.Fatal("the back end still has its connection")
			}
			if path == "/events" { // which were answered
				return
			}
			eventually(t, "the client's fault is counted", func() bool { return f.pool.Snapshot().Failures[pool.ClientGone] == 1 })
		})
	}
}

func TestWhoReadsSlowlyOrHearsNothingIsLeftAlone(t *testing.T) {
	t.Parallel()
	const limit = time.Second
	f := newFront(t, HTTP, Options{})
	f.limitUnread(t, limit)
	f.add(newBackend(t, http.HandlerFunc(endless)))
	slow, quiet := dialRaw(t, f.address), dialRaw(t, f.address)
	io.WriteString(slow, "GET /known HTTP/1.1\r\nHost: test\r\n\r\n")
	io.WriteString(quiet, "GET /quiet HTTP/1.1\r\nHost: test\r\n\r\n")
	tick := time.NewTicker(limit / 10)
	defer tick.Stop()
	part := make([]byte, 1<<20)
	for range 25 {
		<-tick.C
		if _, err := io.ReadFull(slow, part); err != nil {
			t.Fatalf("the slow one: %v", err)
		}
	}
	if n := f.pool.Snapshot().Backends[0].InFlight; n != 2 {
		t.Errorf("%d requests go on, not 2", n)
	}
}

func (f *front) limitUnread(t *testing.T, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := inherit(f.open[f.address].inner, d, true); err != nil {
		t.Fatal(err)
	}
}

// endless answers with more than all buffers on the way hold, or, below /quiet,
// with a beginning.
func endless(w http.ResponseWriter, r *http.Request) {
	part := bytes.Repeat([]byte("data: 0123456789\n\n"), 1<<10)
	switch r.URL.Path {
	case "/known":
		w.Header().Set("Content-Length", fmt.Sprint(int64(1<<40)))
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
	case "/quiet":
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	for {
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}
