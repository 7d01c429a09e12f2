package gateway

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"reflect"
	"slices"
	"sync"
	"time"

	"skiff/proxy/dns"
	"skiff/proxy/jsonl"
	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

const (
	dialTimeout  = 500 * time.Millisecond // there is nothing but a bridge between
	firstRetry   = 10 * time.Millisecond
	longestRetry = time.Second

	pingInterval = 2 * time.Second
	silence      = 8 * time.Second // after which the gateway is taken to be stuck

	// defaultPatience is how long a gateway that runs may say nothing before
	// another one takes its place.
	defaultPatience = 20 * time.Second

	// cutPatience is for what was cut at the end of a drain to say goodbye, and
	// for the gateway to tell.
	cutPatience = 3 * time.Second
)

// Machine is where the gateway runs.
type Machine interface {
	// Running says whether a gateway runs at all, and whether it is the right one
	// and can be reached.
	Running(ctx context.Context) (running, fit bool, err error)
	// Start has the right one run. Another one makes room.
	Start(ctx context.Context) error
	// Remove ends it at once.
	Remove(ctx context.Context) error
	// DialContext reaches the gateway's network.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// LinkOptions of a Link.
type LinkOptions struct {
	Config
	Machine Machine
	API     func(ctx context.Context) (net.Conn, error) // opens a connection to the API
	// Counted gets what a gateway has counted since it began, every few seconds
	// and whenever it is asked for.
	Counted func(switchboard.Counts)
	Log     *slog.Logger
}

// Link is the daemon's end. It keeps the gateway running while Run runs, and
// keeps it told. Its other methods return at once.
type Link struct {
	options LinkOptions
	tls     *tls.Config
	begun   chan struct{}
	up      chan struct{}
	begin   sync.Once
	wentUp  sync.Once
	tunnels sync.WaitGroup

	patience time.Duration
	heard    time.Time // when the gateway last said something, or was made

	mu       sync.Mutex // guards all below
	services map[string]switchboard.Service
	records  map[string][]dns.Record
	seq      uint64
	pending  map[uint64]*pending    // what somebody waits for
	out      *jsonl.Outbox[message] // nil: there is no connection
	down     bool                   // the gateway is known not to run: it holds nothing
}

// pending is a message whose doing is waited for.
type pending struct {
	message message
	done    chan struct{}
	err     error
}

// NewLink makes a Link to a gateway that knows nothing yet.
func NewLink(o LinkOptions) (*Link, error) {
	identity, err := Identity{o.Identity}.tls()
	if err != nil {
		return nil, err
	}
	return &Link{
		options: o, tls: identity,
		patience: defaultPatience,
		begun:    make(chan struct{}),
		up:       make(chan struct{}),
		services: map[string]switchboard.Service{},
		records:  map[string][]dns.Record{},
		pending:  map[uint64]*pending{},
	}, nil
}

// Begin says that all there is has been set. Until then the gateway goes on
// with what it has.
func (l *Link) Begin() { l.begin.Do(func() { close(l.begun) }) }

// Up is closed once the gateway works, or cannot be had for now.
func (l *Link) Up() <-chan struct{} { return l.up }

func (l *Link) goUp() { l.wentUp.Do(func() { close(l.up) }) }

// Set forwards a Service as it is now. It never fails here: what the gateway
// cannot do is logged.
func (l *Link) Set(_ context.Context, s switchboard.Service) map[string]error {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, known := l.services[s.Name]
	if len(s.Ports) == 0 && !known || known && reflect.DeepEqual(before, s) {
		return nil
	}
	l.services[s.Name] = s
	if len(s.Ports) == 0 {
		delete(l.services, s.Name)
	}
	l.tell(message{Set: &s})
	return nil
}

// Expect says of a Service whether a back end is on its way.
func (l *Link) Expect(service string, e pool.Expectation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, known := l.services[service]
	if !known || s.Expected == e {
		return
	}
	s.Expected = e
	l.services[service] = s
	l.tell(message{Expect: &expect{service, e}})
}

// Publish makes records all that the DNS says of a Service.
func (l *Link) Publish(service string, records []dns.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Equal(l.records[service], records) {
		return
	}
	l.records[service] = records
	if len(records) == 0 {
		delete(l.records, service)
	}
	l.tell(message{Publish: &publish{service, records}})
}

// Remove takes a back end out of every pool. wait returns when the gateway has
// done so, or does not run.
func (l *Link) Remove(id string) (wait func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(id)
	p := l.ask(message{Remove: id})
	return func(ctx context.Context) error { return l.await(ctx, p, 0) }
}

// Drain takes a back end out for good. wait returns when nothing of it is in
// flight through the gateway any more, or that does not run.
func (l *Link) Drain(id string, streams time.Duration) (wait func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(id)
	l.tell(message{Remove: id})
	return func(ctx context.Context) error {
		within := time.Hour
		if deadline, ok := ctx.Deadline(); ok {
			within = max(0, time.Until(deadline))
		}
		l.mu.Lock()
		p := l.ask(message{Drain: &drain{ID: id, Streams: streams, Within: within}})
		l.mu.Unlock()
		return l.await(ctx, p, cutPatience)
	}
}

// Recount returns once Counted has got what the gateway has counted by now, or
// the gateway does not run.
func (l *Link) Recount(ctx context.Context) error {
	l.mu.Lock()
	p := l.ask(message{Count: true})
	l.mu.Unlock()
	return l.await(ctx, p, 0)
}

// await waits until a message is done. grace is how long it may still take
// after ctx's deadline.
func (l *Link) await(ctx context.Context, p *pending, grace time.Duration) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.done:
			return p.err
		case <-timer.C:
		}
	}
	l.mu.Lock()
	delete(l.pending, p.message.Seq)
	l.mu.Unlock()
	return fmt.Errorf("wait for the gateway: %w", ctx.Err())
}

// Below: mu is held.

// forget takes a back end out of what a gateway that comes later is told.
func (l *Link) forget(id string) {
	for name, s := range l.services {
		ports := slices.Clone(s.Ports)
		for i := range ports {
			ports[i].Members = slices.DeleteFunc(slices.Clone(ports[i].Members), func(m switchboard.Member) bool { return m.ID == id })
		}
		s.Ports = ports
		l.services[name] = s
	}
}

func (l *Link) tell(m message) uint64 {
	l.seq++
	m.Seq = l.seq
	if l.out != nil {
		l.out.Put(m)
	}
	return m.Seq
}

func (l *Link) ask(m message) *pending {
	p := &pending{done: make(chan struct{})}
	m.Seq = l.tell(m)
	p.message = m
	if l.down {
		close(p.done)
		return p
	}
	l.pending[m.Seq] = p
	return p
}

// takeUp makes a new connection the one that is told: first of everything, then
// of what is waited for.
func (l *Link) takeUp(out *jsonl.Outbox[message]) (first uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down, l.out = false, out
	first = l.tell(message{Snapshot: &snapshot{
		Services: slices.Collect(maps.Values(l.services)),
		Records:  maps.Clone(l.records),
	}})
	for _, seq := range slices.Sorted(maps.Keys(l.pending)) {
		out.Put(l.pending[seq].message)
	}
	return first
}

// lose takes note that the connection is gone, and, if down, so is the gateway:
// then there is nothing left to wait for.
func (l *Link) lose(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out, l.down = nil, down
	if !down {
		return
	}
	for seq, p := range l.pending {
		close(p.done)
		delete(l.pending, seq)
	}
}

func (l *Link) done(r report) {
	if r.Counts != nil {
		l.options.Counted(r.Counts)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pending[r.Done]
	delete(l.pending, r.Done)
	switch {
	case p != nil:
		if r.Error != "" {
			p.err = errors.New(r.Error)
		}
		close(p.done)
	case r.Error != "":
		l.options.Log.Warn("the gateway could not do all it was told", "error", r.Error)
	}
}

// connect opens a connection to the gateway and says what it is for.
func (l *Link) connect(ctx context.Context, tag uint64) (net.Conn, error) {
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := l.options.Machine.DialContext(dialing, "tcp", l.options.control())
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, l.tls)
	if err = conn.SetDeadline(time.Now().Add(greetTimeout)); err == nil {
		_, err = conn.Write(binary.BigEndian.AppendUint64(nil, tag))
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return conn, nil
}
