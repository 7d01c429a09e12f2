package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"skiff/proxy/pool"
)

// front is a running proxy with one listener.
type front struct {
	*Proxy
	pool    *pool.Pool
	address string
}

func newFront(t testing.TB, mode Mode, o Options) *front {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	}
	f := &front{Proxy: New(o)}
	f.pool = f.NewPool()
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- f.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			t.Errorf("run: %v", err)
		}
		f.pool.Close()
	})
	f.address = f.listen(t, Listener{Name: "test", Mode: mode, Pool: f.pool})
	return f
}

// listen opens l at an address that is free.
func (f *front) listen(t testing.TB, l Listener) string {
	t.Helper()
	for {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Address = free.Addr().String()
		free.Close()
		if err = f.Listen(t.Context(), l); err == nil {
			return l.Address
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
}

func (f *front) url(path string) string { return "http://" + f.address + path }

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// backend is an HTTP server that can be as rude as those that people write:
// rudeStop drops everything at once, like a process that ends at SIGTERM.
type backend struct {
	id, address string
	server      *http.Server
	listener    net.Listener
	served      atomic.Int64
	mu          sync.Mutex
	conns       map[net.Conn]struct{}
}

var backendIDs atomic.Int64

func newBackend(t testing.TB, handler http.Handler) *backend {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{
		id:       fmt.Sprintf("backend-%d", backendIDs.Add(1)),
		address:  listener.Addr().String(),
		listener: listener,
		conns:    map[net.Conn]struct{}{},
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	b.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.served.Add(1)
			w.Header().Set("X-Backend", b.id)
			handler.ServeHTTP(w, r)
		}),
		Protocols: protocols,
		ConnState: func(c net.Conn, s http.ConnState) {
			b.mu.Lock()
			defer b.mu.Unlock()
			switch s {
			case http.StateNew:
				b.conns[c] = struct{}{}
			case http.StateClosed:
				delete(b.conns, c)
			}
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	go b.server.Serve(listener)
	t.Cleanup(b.rudeStop)
	return b
}

func (b *backend) rudeStop() {
	b.listener.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

// add makes b a back end of the front's pool.
func (f *front) add(b *backend) { f.pool.Add(b.id, b.address) }

func (f *front) drain(t testing.TB, b *backend) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := f.pool.Drain(ctx, b.id, time.Second); err != nil {
		t.Errorf("drain: %v", err)
	}
}

func answering(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, text)
	})
}

// newClient is an HTTP client with connections of its own.
func newClient(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t testing.TB, client *http.Client, url string) (int, string) {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("did not come about: %s", what)
		case <-tick.C:
		}
	}
}

func expectation(reason string) pool.Expectation { return pool.Expectation{Reason: reason} }

func expectComing(f *front) {
	f.pool.Expect(pool.Expectation{Coming: true, Reason: "the test goes on"})
}
