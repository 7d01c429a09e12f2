// Package switchboard brings what a proxy forwards in line with what is wanted,
// one Service at a time: which addresses it listens at, and which back ends are
// behind them. The host's proxy and the gateway on the instance's network are
// driven by the same code.
package switchboard

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"skiff/proxy"
	"skiff/proxy/pool"
)

// Service is what is forwarded for one Service.
type Service struct {
	Name     string // its identity
	Ports    []Port // none: nothing is forwarded
	Expected pool.Expectation
}

// Port is one port of a Service and the pool that it leads to.
type Port struct {
	Name      string   // tells the Service's ports apart
	Addresses []string // where it is listened to; those with one number all or not at all
	Mode      proxy.Mode
	H2C       bool          // the back ends speak HTTP/2 without TLS
	Sticks    time.Duration // for how long a client comes back to its back end; 0: not at all
	Members   []Member
}

// Member is a back end, and how long what is in flight may go on where it has
// left a pool without being drained: its Service leads elsewhere.
type Member struct {
	pool.Member
	Streams, Requests time.Duration
}

// Proxy is what a Board needs of a *proxy.Proxy.
type Proxy interface {
	Listen(context.Context, proxy.Listener) error
	Close(address string)
	NewPool() *pool.Pool
}

// Board is safe for concurrent use.
type Board struct {
	proxy Proxy
	log   *slog.Logger

	// parting are the drains of back ends that left a pool without being told to.
	parting sync.WaitGroup
	ended   chan struct{}
	ending  sync.RWMutex // held for writing while ended is closed

	mu       sync.Mutex // guards all below
	changed  func()     // nil: nobody asked
	services map[string]*service
	holders  map[string]string       // address → the Service that has it
	shared   map[string]bool         // addresses that no Service has
	retired  map[*pool.Pool]struct{} // of ports that are gone, while something is in flight
}

type service struct {
	ports  map[string]*port
	open   map[string]bool // addresses
	closed bool            // some address could not be opened
}

type port struct {
	Port
	pool    *pool.Pool
	longest time.Duration // that a request to one of its back ends may go on
}

// New makes a Board that forwards nothing.
func New(p Proxy, log *slog.Logger) *Board {
	return &Board{
		proxy:    p,
		log:      log,
		ended:    make(chan struct{}),
		services: map[string]*service{},
		holders:  map[string]string{},
		shared:   map[string]bool{},
		retired:  map[*pool.Pool]struct{}{},
	}
}

// Set forwards a Service as it is now. It returns the addresses that could not
// be listened to; all the rest is done. Connections of back ends that it has no
// more are let go in the background.
func (b *Board) Set(ctx context.Context, s Service) (failed map[string]error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.services[s.Name]
	if now == nil {
		now = &service{ports: map[string]*port{}, open: map[string]bool{}}
		b.services[s.Name] = now
	}
	gone := now.ports
	now.ports = make(map[string]*port, len(s.Ports))
	for _, spec := range s.Ports {
		p := gone[spec.Name]
		if p == nil {
			p = &port{pool: b.proxy.NewPool()}
		}
		delete(gone, spec.Name)
		now.ports[spec.Name] = p
		b.fill(ctx, p, spec, s.Expected)
	}
	failed = b.listen(ctx, s, now)
	for _, p := range gone {
		b.retire(ctx, p)
	}
	if b.changed != nil {
		b.changed()
	}
	if len(s.Ports) == 0 {
		delete(b.services, s.Name)
	}
	return failed
}

// Retry opens what could not be opened when it was set.
func (b *Board) Retry(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, now := range b.services {
		if !now.closed {
			continue
		}
		s := Service{Name: name}
		for _, p := range now.ports {
			s.Ports = append(s.Ports, p.Port)
		}
		b.listen(ctx, s, now)
	}
}

// Services lists those that are forwarded.
func (b *Board) Services() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for name := range b.services {
		names = append(names, name)
	}
	return names
}

// Expect tells a Service's pools whether a back end is on its way.
func (b *Board) Expect(name string, e pool.Expectation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.services[name]; s != nil {
		for _, p := range s.ports {
			p.pool.Expect(e)
		}
	}
}

// Remove takes a back end out of every pool: when it returns no new request
// reaches it. Requests in flight go on, and it may be set again. There is
// nothing to wait for.
func (b *Board) Remove(id string) (wait func(context.Context) error) {
	for _, p := range b.pools() {
		p.Remove(id)
	}
	return func(context.Context) error { return nil }
}

// Drain takes a back end out of every pool for good: when it returns no new
// request reaches it. wait returns when nothing of it is in flight any more.
// Streams are cut after the given time, requests at the deadline of wait's
// context. Where that context ends before, only the waiting does: whoever waits
// may be at its end while what it forwards is not.
func (b *Board) Drain(id string, streams time.Duration) (wait func(context.Context) error) {
	pools := b.pools()
	for _, p := range pools {
		p.Retire(id)
	}
	return func(ctx context.Context) error {
		limit := longestDrain
		if deadline, ok := ctx.Deadline(); ok {
			limit = time.Until(deadline)
		}
		drained := make(chan error, 1)
		if !b.later(ctx, limit, func(ctx context.Context) { drained <- drain(ctx, pools, id, streams) }) {
			return errEnded
		}
		select {
		case err := <-drained:
			return err
		case <-ctx.Done():
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return <-drained
		}
		return ctx.Err()
	}
}

var errEnded = errors.New("nothing is forwarded any more")

// longestDrain is for a wait without a deadline.
const longestDrain = time.Hour

func drain(ctx context.Context, pools []*pool.Pool, id string, streams time.Duration) error {
	var all sync.WaitGroup
	errs := make([]error, len(pools))
	for i, p := range pools {
		all.Go(func() { errs[i] = p.Empty(ctx, id, streams) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Readmit lets back ends be set again that were drained for good: whoever says
// what there is knows what has become of them since.
func (b *Board) Readmit() {
	for _, p := range b.pools() {
		p.Readmit()
	}
}

// Dismiss lets go of every back end, for this board alone: streams end after the
// given time, requests with them.
func (b *Board) Dismiss(ctx context.Context, streams time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, streams)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range b.pools() {
		for _, id := range p.Replace(nil, pool.Expectation{Reason: "another process serves this now"}) {
			all.Go(func() {
				if err := p.Empty(ctx, id, streams); err != nil {
					b.log.Warn("let go of connections", "backend", id, "error", err)
				}
			})
		}
	}
	all.Wait()
}

// Run ends every pool when ctx ends, and returns when nothing is being let go
// any more. The listeners end with the proxy.
func (b *Board) Run(ctx context.Context) error {
	<-ctx.Done()
	b.ending.Lock()
	close(b.ended)
	b.ending.Unlock()
	for _, p := range b.pools() {
		p.Close()
	}
	b.parting.Wait()
	return nil
}

// Pool is the pool that a port leads to, nil where there is none.
func (b *Board) Pool(service, port string) *pool.Pool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.services[service]; s != nil && s.ports[port] != nil {
		return s.ports[port].pool
	}
	return nil
}

// pools lists all that may have something of a back end.
func (b *Board) pools() []*pool.Pool {
	b.mu.Lock()
	defer b.mu.Unlock()
	var pools []*pool.Pool
	for _, s := range b.services {
		for _, p := range s.ports {
			pools = append(pools, p.pool)
		}
	}
	for p := range b.retired {
		pools = append(pools, p)
	}
	return pools
}
