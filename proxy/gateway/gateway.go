package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"skiff/proxy"
	"skiff/proxy/accept"
	"skiff/proxy/dns"
	"skiff/proxy/jsonl"
	"skiff/proxy/switchboard"
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
	network, err := networkOf(o.Address)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		options: o, tls: identity,
		zone:     dns.NewZone(o.Domain, network),
		greeting: map[netip.Addr]int{},
		tunnels:  map[uint64]chan net.Conn{},
	}
	g.proxy = proxy.New(proxy.Options{Dial: g.dial, Log: o.Log})
	g.board = switchboard.New(g.proxy, o.Log)
	g.dns = dns.New(dns.Options{Address: o.dns(), Zone: g.zone, Upstream: o.Upstream, Log: o.Log})
	return g, nil
}

// networkOf is the network in which an address is this machine's.
func networkOf(address netip.Addr) (netip.Prefix, error) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("find the network of %s: %w", address, err)
	}
	for _, a := range own {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Contains(address) {
			return p.Masked(), nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("find the network of %s: no interface is on it", address)
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
		accept.Each(listener, g.options.Log, func(conn net.Conn) {
			g.serving.Go(func() { g.greet(ctx, conn) })
		})
		return nil
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
		r := report{Done: m.Seq}
		var drained func(context.Context) error
		err = g.inCharge(d, func() {
			if m.Drain != nil {
				drained = g.board.Drain(m.Drain.ID, m.Drain.Streams)
			} else {
				r = g.apply(ctx, m)
			}
		})
		if err != nil {
			return err
		}
		if m.Drain == nil {
			d.out.Put(r)
			continue
		}
		g.serving.Go(func() {
			if err := m.Drain.Await(ctx, drained); err != nil {
				r.Error = err.Error()
			}
			d.out.Put(r)
		})
	}
}

var errReplaced = errors.New("another daemon took over")

// inCharge does one thing at a time, and nothing for a daemon that was replaced.
func (g *Gateway) inCharge(d *daemon, do func()) error {
	g.applying.Lock()
	defer g.applying.Unlock()
	g.mu.Lock()
	current := g.link == d
	g.mu.Unlock()
	if !current {
		return errReplaced
	}
	do()
	return nil
}

func (g *Gateway) apply(ctx context.Context, m message) report {
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
	case m.Count: // every few seconds
		g.board.Retry(ctx)
		r.Counts, r.Use = g.board.Counts(), useNow()
	}
	return r
}

// restore makes a snapshot all there is. What is in it already goes on. A daemon
// that was killed while it went down had drained Pods that are the next one's.
func (g *Gateway) restore(ctx context.Context, all snapshot) string {
	g.board.Readmit()
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
