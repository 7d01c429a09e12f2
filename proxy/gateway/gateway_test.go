package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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
	broken  bool // it cannot be started
	cut     bool // nobody reaches it
	conns   []net.Conn
}

var addresses atomic.Int32

func newWorld(t *testing.T) *world {
	t.Helper()
	identity, err := LoadIdentity(filepath.Join(t.TempDir(), "gateway.pem"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	n := byte(addresses.Add(1))
	address := netip.AddrFrom4([4]byte{127, 200, 0, n})
	w := &world{t: t, config: NewConfig(address, netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 201, n, 0}), 24), "cluster.local", identity)}
	w.machine = &machine{t: t, config: w.config}
	w.connect()
	t.Cleanup(w.machine.kill)
	return w
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
	if m.broken {
		return errors.New("it is broken")
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
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
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
	deadline := time.Now().Add(10 * time.Second)
	for got := ""; got != want; got = w.get(port, "/") {
		if time.Now().After(deadline) {
			w.t.Fatalf("the gateway answers %q, want %q", got, want)
		}
	}
}

// Drain's word comes when the gateway's last request has ended, and Remove's
// when the gateway sends no other.
func TestAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, slow, let := serve(t, "a")
	b, _, _ := serve(t, "b")
	w.Set(t.Context(), w.service(80, member("a", a)))
	w.Begin()
	w.eventually("a", 80)
	answer := make(chan string, 1)
	go func() { answer <- w.get(80, "/slow") }()
	<-slow

	w.Set(t.Context(), w.service(80, member("a", a), member("b", b)))
	if err := w.Remove("a")(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if got := w.get(80, "/"); got != "b" {
			t.Fatalf("after Remove: %q", got)
		}
	}
	drained := make(chan error, 1)
	wait := w.Drain("a", time.Second)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		drained <- wait(ctx)
	}()
	select {
	case err := <-drained:
		t.Fatalf("drained with a request in flight: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	close(let)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if got := <-answer; got != "a" {
		t.Errorf("the request in flight: %q", got)
	}
}

// Where the gateway does not run, nobody waits for it; when it comes back it
// has everything.
func TestGatewayAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _, _ := serve(t, "a")
	b, _, _ := serve(t, "b")
	w.Set(t.Context(), w.service(80, member("a", a), member("b", b)))
	w.Begin()
	w.eventually("a", 80)
	w.machine.mu.Lock()
	w.machine.broken = true
	w.machine.mu.Unlock()
	w.machine.kill()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := errors.Join(w.Drain("a", time.Second)(ctx), w.Remove("none")(ctx)); err != nil {
		t.Errorf("without a gateway: %v", err)
	}
	w.machine.mu.Lock()
	w.machine.broken = false
	w.machine.mu.Unlock()
	w.eventually("b", 80)
	for range 20 {
		if got := w.get(80, "/"); got != "b" {
			t.Fatalf("what left meanwhile is back: %q", got)
		}
	}
}

// Without a daemon the gateway goes on; the next daemon is believed only once
// it says that it knows everything, and then to the letter.
func TestDaemonAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _, _ := serve(t, "a")
	b, _, _ := serve(t, "b")
	w.Set(t.Context(), w.service(80, member("a", a)))
	other := w.service(81, member("a", a))
	other.Name = "default/other"
	w.Set(t.Context(), other)
	w.Begin()
	w.eventually("a", 80)
	w.eventually("a", 81)

	w.stop()
	w.connect()
	for range 20 {
		if got := w.get(80, "/"); got != "a" {
			t.Fatalf("with a daemon that does not know anything yet: %q", got)
		}
	}
	w.Set(t.Context(), w.service(80, member("b", b)))
	w.Begin()
	w.eventually("b", 80)
	if got := w.get(81, "/"); !strings.Contains(got, "refused") {
		t.Errorf("a Service that is gone: %q", got)
	}
	w.stop()
	w.eventually("b", 80)
}

// A stranger on the network can neither speak to the gateway nor hear it.
func TestStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _, _ := serve(t, "a")
	w.Set(t.Context(), w.service(80, member("a", a)))
	w.Begin()
	w.eventually("a", 80)
	other, err := makeIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := Identity{other}.tls()
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]*tls.Config{
		"no certificate":       {InsecureSkipVerify: true},
		"one of somebody else": {InsecureSkipVerify: true, Certificates: stranger.Certificates},
	} {
		conn, err := tls.Dial("tcp", w.config.control(), config)
		if err == nil {
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprint(conn, "\x00\x00\x00\x00\x00\x00\x00\x00", `{"Seq":1,"Remove":"a"}`, "\n")
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
}

// The API is reached through the daemon, and by nothing but its own address.
func TestTunnel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // echo, and then the end that the client waits for
				io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	s := w.service(443, member(API, API))
	s.Ports[0].Mode = proxy.TCP
	w.Set(t.Context(), s)
	w.Begin()
	w.api.Store(&l)
	<-w.Up()
	talk := func() error {
		conn, err := net.Dial("tcp", s.Ports[0].Addresses[0])
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(conn, "hello")
		conn.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(conn)
		if string(got) != "hello" {
			return fmt.Errorf("%q, %v", got, err)
		}
		return nil
	}
	for range 10 {
		if err := talk(); err != nil {
			t.Error(err)
		}
	}
}
