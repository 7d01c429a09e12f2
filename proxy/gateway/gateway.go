package gateway

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"skiff/proxy"
	"skiff/proxy/dns"
	"skiff/proxy/jsonl"
	"skiff/proxy/switchboard"
)

const (
	greetTimeout   = 5 * time.Second
	maxGreeting    = 64 // connections of one address that have not said yet who they are
	tunnelPatience = 5 * time.Second
)

// Options of a Gateway.
type Options struct {
	Config
	Upstream []string // resolvers of names that are not the instance's own
	// Announce makes the ClusterIPs this machine's own. It is called once what
	// listens there is known: before, clients wait instead of being refused.
	Announce func(netip.Prefix) error
	Log      *slog.Logger
}

// Gateway forwards between Pods, as the daemon says, while Run runs.
type Gateway struct {
	options Options
	tls     *tls.Config
	proxy   *proxy.Proxy
	board   *switchboard.Board
	zone    *dns.Zone
	dns     *dns.Server

	serving sync.WaitGroup

	applying sync.Mutex // held while what the daemon says is done

	mu        sync.Mutex // guards all below
	link      *daemon    // nil: there is none
	announced bool
	greeting  map[netip.Addr]int // how many, by where they come from
	tunnels   map[uint64]chan net.Conn
	last      uint64 // number of a tunnel
}

// daemon is the connection of the daemon that is in charge.
type daemon struct {
	conn net.Conn
	out  *jsonl.Outbox[report]
}

// New makes a Gateway.
func New(o Options) (*Gateway, error) {
	identity, err := Identity{o.Identity}.tls()
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		options: o, tls: identity,
		zone:     dns.NewZone(o.Domain),
		greeting: map[netip.Addr]int{},
		tunnels:  map[uint64]chan net.Conn{},
	}
	g.proxy = proxy.New(proxy.Options{Dial: g.dial, Log: o.Log})
	g.board = switchboard.New(g.proxy, o.Log)
	g.dns = dns.New(dns.Options{Address: o.dns(), Zone: g.zone, Upstream: o.Upstream, Log: o.Log})
	return g, nil
}

// Run forwards until ctx ends.
func (g *Gateway) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", g.options.control())
	if err != nil {
		return fmt.Errorf("listen for the daemon: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	group.Go(func() error { return g.forward(ctx) })
	group.Go(func() error { return g.dns.Run(ctx) })
	group.Go(func() error {
		defer g.serving.Wait()
		for {
			conn, err := listener.Accept()
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return fmt.Errorf("accept the daemon: %w", err)
			}
			g.serving.Go(func() { g.greet(ctx, conn) })
		}
	})
	return group.Wait()
}

// forward ends the pools after what uses them: a request that is still served
// while the proxy ends finds its back end.
func (g *Gateway) forward(ctx context.Context) error {
	pools, end := context.WithCancel(context.WithoutCancel(ctx))
	var board errgroup.Group
	board.Go(func() error { return g.board.Run(pools) })
	err := g.proxy.Run(ctx)
	end()
	return errors.Join(err, board.Wait())
}

// greet finds out whether a connection is the daemon's, and what it is for.
// Any Pod can open one; few are listened to at a time, and not for long.
func (g *Gateway) greet(ctx context.Context, raw net.Conn) {
	conn := tls.Server(raw, g.tls)
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	tag, err := g.tagOf(ctx, conn)
	if err != nil {
		g.options.Log.Debug("refused a connection", "from", raw.RemoteAddr().String(), "error", err)
		raw.Close()
		return
	}
	if tag == linkTag {
		defer stop()
		g.serve(ctx, conn)
		return
	}
	stop() // the tunnel is its client's now
	g.mu.Lock()
	wanted := g.tunnels[tag]
	delete(g.tunnels, tag)
	g.mu.Unlock()
	if wanted == nil {
		conn.Close()
		return
	}
	wanted <- conn
}

var errBusy = errors.New("too many strangers from there")

// admit lets few of one address in at a time, so that no Pod keeps the daemon
// out. leave is to be called once it is known who one is.
func (g *Gateway) admit(from net.Addr) (leave func(), err error) {
	address, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return nil, err
	}
	source := address.Addr()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.greeting[source] >= maxGreeting {
		return nil, errBusy
	}
	g.greeting[source]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.greeting[source]--; g.greeting[source] == 0 {
			delete(g.greeting, source)
		}
	}, nil
}

func (g *Gateway) tagOf(ctx context.Context, conn *tls.Conn) (uint64, error) {
	leave, err := g.admit(conn.RemoteAddr())
	if err != nil {
		return 0, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return 0, err
	}
	var tag [8]byte
	if err := conn.SetReadDeadline(time.Now().Add(greetTimeout)); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(conn, tag[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(tag[:]), conn.SetReadDeadline(time.Time{})
}

// serve does what the daemon says until it is gone or another one comes.
func (g *Gateway) serve(ctx context.Context, conn net.Conn) {
	d := &daemon{conn: conn, out: jsonl.NewOutbox[report]()}
	g.mu.Lock()
	before := g.link
	g.link = d
	g.mu.Unlock()
	if before != nil {
		before.conn.Close()
	}
	g.options.Log.Info("the daemon is here", "from", conn.RemoteAddr().String())
	over := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		if d.out.Run(conn, over) != nil {
			conn.Close()
		}
	})
	err := g.obey(ctx, d)
	g.options.Log.Info("the daemon is gone; forwarding as it said last", "reason", err)
	g.mu.Lock()
	if g.link == d {
		g.link = nil
	}
	g.mu.Unlock()
	conn.Close()
	close(over)
	writing.Wait()
}

func (g *Gateway) obey(ctx context.Context, d *daemon) error {
	in := jsonl.NewReader[message](d.conn, maxMessage)
	for {
		m, err := in.Next()
		if err != nil {
			return err
		}
		if m.Drain != nil {
			g.serving.Go(func() { d.out.Put(g.drain(ctx, m)) })
			continue
		}
		r, err := g.apply(ctx, d, m)
		if err != nil {
			return err
		}
		d.out.Put(r)
	}
}

var errReplaced = errors.New("another daemon took over")

// apply does one thing at a time, and nothing for a daemon that was replaced.
func (g *Gateway) apply(ctx context.Context, d *daemon, m message) (report, error) {
	g.applying.Lock()
	defer g.applying.Unlock()
	g.mu.Lock()
	current := g.link == d
	g.mu.Unlock()
	if !current {
		return report{}, errReplaced
	}
	r := report{Done: m.Seq}
	switch {
	case m.Snapshot != nil:
		r.Error = g.restore(ctx, *m.Snapshot)
	case m.Set != nil:
		r.Error = explain(g.board.Set(ctx, *m.Set))
	case m.Expect != nil:
		g.board.Expect(m.Expect.Service, m.Expect.Expected)
	case m.Publish != nil:
		g.zone.Set(m.Publish.Service, m.Publish.Records)
	case m.Remove != "":
		g.board.Remove(m.Remove)
	case m.Count:
		r.Counts = g.board.Counts()
	}
	return r, nil
}

// restore makes a snapshot all there is. What is in it already goes on.
func (g *Gateway) restore(ctx context.Context, all snapshot) string {
	wanted := map[string]bool{}
	failed := map[string]error{}
	for _, s := range all.Services {
		wanted[s.Name] = true
	}
	for _, name := range g.board.Services() {
		if !wanted[name] {
			g.board.Set(ctx, switchboard.Service{Name: name})
		}
	}
	for _, s := range all.Services {
		maps.Copy(failed, g.board.Set(ctx, s))
	}
	g.zone.Replace(all.Records)
	if !g.announced {
		if err := g.options.Announce(g.options.Services); err != nil {
			return err.Error()
		}
		g.announced = true
	}
	return explain(failed)
}

func explain(failed map[string]error) string {
	var errs []error
	for _, address := range slices.Sorted(maps.Keys(failed)) {
		errs = append(errs, fmt.Errorf("listen on %s: %w", address, failed[address]))
	}
	if err := errors.Join(errs...); err != nil {
		return err.Error()
	}
	return ""
}

func (g *Gateway) drain(ctx context.Context, m message) report {
	ctx, cancel := context.WithTimeout(ctx, m.Drain.Within)
	defer cancel()
	r := report{Done: m.Seq}
	if err := g.board.Drain(m.Drain.ID, m.Drain.Streams)(ctx); err != nil {
		r.Error = err.Error()
	}
	return r
}

var errNoDaemon = errors.New("the API is not there: skiff is not running")

// dial reaches a back end: a Pod, or the API through the daemon.
func (g *Gateway) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if address != API {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	g.mu.Lock()
	link := g.link
	g.last++
	number, arrived := g.last, make(chan net.Conn, 1)
	g.tunnels[number] = arrived
	g.mu.Unlock()
	if link == nil {
		g.giveUp(number, arrived)
		return nil, errNoDaemon
	}
	link.out.Put(report{Open: number})
	timer := time.NewTimer(tunnelPatience)
	defer timer.Stop()
	select {
	case conn := <-arrived:
		return conn, nil
	case <-ctx.Done():
		g.giveUp(number, arrived)
		return nil, ctx.Err()
	case <-timer.C:
		g.giveUp(number, arrived)
		return nil, errNoDaemon
	}
}

// giveUp closes a tunnel that comes at this very moment.
func (g *Gateway) giveUp(number uint64, arrived chan net.Conn) {
	g.mu.Lock()
	_, waits := g.tunnels[number]
	delete(g.tunnels, number)
	g.mu.Unlock()
	if !waits {
		(<-arrived).Close()
	}
}
