package gateway

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"log/slog"
	"maps"
	"net"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

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
	cutPatience = 5 * time.Second

	// maxTunnels bounds what Pods may have open to the API at a time, so that none
	// of them takes the daemon's descriptors and memory by that.
	maxTunnels = 1024
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
	tunnels errgroup.Group

	patience time.Duration
	heard    time.Time // when the gateway last said something, or was made
	trouble  string    // that was logged last; "": it runs

	gateway *jsonl.Teller[message]

	mu       sync.Mutex // guards all below, and that it is told in order
	services map[string]switchboard.Service
	records  map[string][]dns.Record
	use      Use
}

// NewLink makes a Link to a gateway that knows nothing yet.
func NewLink(o LinkOptions) (*Link, error) {
	identity, err := Identity{o.Identity}.tls()
	if err != nil {
		return nil, err
	}
	l := &Link{
		options: o, tls: identity,
		patience: defaultPatience,
		begun:    make(chan struct{}),
		up:       make(chan struct{}),
		gateway:  jsonl.NewTeller[message]("the gateway"),
		services: map[string]switchboard.Service{},
		records:  map[string][]dns.Record{},
	}
	l.tunnels.SetLimit(maxTunnels)
	return l, nil
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
	l.gateway.Tell(message{Set: &s})
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
	l.gateway.Tell(message{Expect: &switchboard.Expect{Service: service, Expected: e}})
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
	l.gateway.Tell(message{Publish: &publish{service, records}})
}

// Remove takes a back end out of every pool. wait returns when the gateway has
// done so, or does not run.
func (l *Link) Remove(id string) (wait func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(id)
	removed := l.gateway.Ask(message{Remove: id})
	return func(ctx context.Context) error { return removed.Await(ctx, 0) }
}

// Drain takes a back end out for good. wait returns when nothing of it is in
// flight through the gateway any more, or that does not run.
func (l *Link) Drain(id string, streams time.Duration) (wait func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(id)
	l.gateway.Tell(message{Remove: id})
	return func(ctx context.Context) error {
		return l.gateway.Ask(message{Drain: switchboard.DrainWithin(ctx, id, streams)}).Await(ctx, cutPatience)
	}
}

// Recount returns once Counted has got what the gateway has counted by now, or
// the gateway does not run.
func (l *Link) Recount(ctx context.Context) error {
	return l.gateway.Ask(message{Count: true}).Await(ctx, 0)
}

// Use is what the gateway said last that it takes.
func (l *Link) Use() Use {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.use
}

// forget takes a back end out of what a gateway that comes later is told. mu is
// held.
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

// takeUp has a new connection carry everything, and then every change.
func (l *Link) takeUp(out *jsonl.Outbox[message]) (everything uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gateway.Connect(out, message{Snapshot: &snapshot{
		Services: slices.Collect(maps.Values(l.services)),
		Records:  maps.Clone(l.records),
	}})
}

func (l *Link) done(r report) {
	if r.Counts != nil {
		l.options.Counted(r.Counts)
		l.mu.Lock()
		l.use = r.Use
		l.mu.Unlock()
	}
	if !l.gateway.Done(r.Done, r.Error) && r.Error != "" {
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
