package docker

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// relay stands between a client and the engine, so that a test can cut the
// connections as a restart of the engine does.
type relay struct {
	host string

	mu    sync.Mutex // guards conns
	conns []net.Conn
}

func newRelay(t *testing.T, e *Engine) *relay {
	t.Helper()
	scheme, address, _ := strings.Cut(e.api.DaemonHost(), "://")
	dir, err := os.MkdirTemp("", "skiff") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{host: "unix://" + path}
	t.Cleanup(func() {
		listener.Close()
		r.cut()
		os.RemoveAll(dir)
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			engine, err := net.Dial(scheme, address)
			if err != nil {
				client.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, client, engine)
			r.mu.Unlock()
			go pass(client, engine)
			go pass(engine, client)
		}
	}()
	return r
}

func pass(to, from net.Conn) {
	io.Copy(to, from)
	to.Close()
}

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}
