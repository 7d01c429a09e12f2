package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"skiff/proxy"
	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// world is a gateway on a loopback address of its own, and the link to it.
type world struct {
	*Link
	t        *testing.T
	config   Config
	machine  *machine
	stop     func() // ends the link
	patience time.Duration
	api      atomic.Pointer[net.Listener]
	ledger   switchboard.Ledger
}

// machine runs the gateway as an engine would run its container.
type machine struct {
	t      *testing.T
	config Config

	mu      sync.Mutex
	stop    context.CancelFunc
	stopped chan struct{}
	broken  error // why it cannot be started
	cut     bool  // nobody reaches it
	conns   []net.Conn
}

func newWorld(t *testing.T) *world {
	t.Helper()
	identity, err := LoadIdentity(filepath.Join(t.TempDir(), "gateway.pem"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	own, services := freeNetwork(t)
	w := &world{t: t, config: NewConfig(own, services, "cluster.local", identity)}
	w.machine = &machine{t: t, config: w.config}
	w.connect()
	t.Cleanup(w.machine.kill)
	return w
}

// freeNetwork is a part of the loopback network that no other test uses, in this
// process or another.
func freeNetwork(t *testing.T) (own netip.Addr, services netip.Prefix) {
	t.Helper()
	for {
		network := [4]byte{127, byte(64 + rand.IntN(128)), byte(rand.IntN(256))}
		claim := netip.AddrPortFrom(netip.AddrFrom4(network), controlPort)
		l, err := net.Listen("tcp", claim.String())
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		services = netip.PrefixFrom(claim.Addr(), 24)
		network[3] = 254
		return netip.AddrFrom4(network), services
	}
}

// connect runs a link of a daemon that was just started.
func (w *world) connect() {
	w.t.Helper()
	link, err := NewLink(LinkOptions{
		Config: w.config, Machine: w.machine, Log: slog.New(slog.DiscardHandler), Counted: func(c switchboard.Counts) { w.ledger.Take("gateway", c) },
		API: func(ctx context.Context) (net.Conn, error) {
			l := w.api.Load()
			if l == nil {
				return nil, errors.New("no API")
			}
			return net.Dial("tcp", (*l).Addr().String())
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.patience > 0 {
		link.patience = w.patience
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		link.Run(ctx)
	}()
	w.stop = sync.OnceFunc(func() { cancel(); <-ended })
	w.t.Cleanup(w.stop)
	w.Link = link
}

func (m *machine) Running(context.Context) (running, fit bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stop != nil, m.stop != nil, nil
}

func (m *machine) Remove(context.Context) error {
	m.kill()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut = false
	return nil
}

func (m *machine) Start(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	g, err := New(Options{Config: m.config, Announce: func(netip.Prefix) error { return nil }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	m.stop, m.stopped = cancel, stopped
	go func() {
		defer close(stopped)
		if err := g.Run(ctx); err != nil {
			m.t.Errorf("gateway: %v", err)
		}
	}()
	return nil
}

func (m *machine) breaks(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = why
}

func (m *machine) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stop != nil {
		m.stop()
		<-m.stopped
		m.stop = nil
	}
}

func (m *machine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut {
		return nil, os.ErrDeadlineExceeded
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err == nil {
		m.conns = append(m.conns, conn)
	}
	return conn, err
}

// cutOff ends what the daemon has of the gateway, and lets it have no more.
func (m *machine) cutOff() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut = true
	for _, conn := range m.conns {
		conn.Close()
	}
}

// serve is a back end that says its name, at once or when it is let.
func serve(t *testing.T, name string) (address string, slow, let chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	slow, let = make(chan struct{}, 10), make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			slow <- struct{}{}
			<-let
		}
		fmt.Fprint(w, name)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().String(), slow, let
}

func (w *world) service(port int, members ...switchboard.Member) switchboard.Service {
	return switchboard.Service{Name: "default/web", Ports: []switchboard.Port{{
		Name: "80/TCP", Mode: proxy.HTTP, Members: members,
		Addresses: []string{netip.AddrPortFrom(w.config.Services.Addr().Next(), uint16(port)).String()},
	}}, Expected: pool.Expectation{Reason: "that is all"}}
}

func member(id, address string) switchboard.Member {
	return switchboard.Member{Member: pool.Member{ID: id, Address: address}, Streams: time.Second, Requests: 5 * time.Second}
}

func (w *world) get(port int, path string) string {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	res, err := c.Get("http://" + netip.AddrPortFrom(w.config.Services.Addr().Next(), uint16(port)).String() + path)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

func (w *world) eventually(want string, port int) {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for got := ""; got != want; got = w.get(port, "/") {
		if time.Now().After(deadline) {
			w.t.Fatalf("the gateway answers %q, want %q", got, want)
		}
	}
}
