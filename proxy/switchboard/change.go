package switchboard

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"skiff/proxy"
	"skiff/proxy/pool"
)

// HeldError says that an address belongs to another Service.
type HeldError struct{ By string }

func (e *HeldError) Error() string { return "the port belongs to service " + e.By }

// ErrApart says that an address is closed because another with the same port
// number could not be opened.
var ErrApart = errors.New("not without the port's other addresses")

// Below: mu is held.

// fill gives a port its back ends. Those that are gone are let go, as they were
// said to be while they were there.
func (b *Board) fill(ctx context.Context, p *port, now Port, expected pool.Expectation) {
	before := make(map[string]Member, len(p.Members))
	for _, m := range p.Members {
		before[m.ID] = m
	}
	members := make([]pool.Member, len(now.Members))
	for i, m := range now.Members {
		members[i] = m.Member
		p.longest = max(p.longest, m.Requests)
	}
	p.Port = now
	p.pool.Stick(now.Sticks)
	for _, left := range p.pool.Replace(members, expected) {
		b.letGo(ctx, p.pool, before[left])
	}
}

func (b *Board) letGo(ctx context.Context, p *pool.Pool, m Member) {
	b.later(ctx, m.Requests, func(ctx context.Context) {
		if err := p.Empty(ctx, m.ID, m.Streams); err != nil {
			b.log.Warn("let go of connections", "backend", m.ID, "error", err)
		}
	})
}

// retire ends a port that is gone from its Service. Until nothing is in flight
// there any more, a drain still looks into its pool.
func (b *Board) retire(ctx context.Context, p *port) {
	b.retired[p.pool] = struct{}{}
	b.fill(ctx, p, Port{}, pool.Expectation{Reason: "the Service is gone"})
	p.pool.Close()
	b.later(ctx, p.longest+goodbye, func(ctx context.Context) {
		p.pool.Settled(ctx)
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.retired, p.pool)
	})
}

// goodbye is for what was cut at the very end to say so.
const goodbye = 5 * time.Second

// later runs f, which outlives the call that asked for it, but not the Board.
// false: that has ended.
func (b *Board) later(ctx context.Context, limit time.Duration, f func(context.Context)) bool {
	b.ending.RLock()
	defer b.ending.RUnlock()
	select {
	case <-b.ended:
		return false
	default:
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	b.parting.Go(func() {
		defer cancel()
		f(ctx)
	})
	b.parting.Go(func() {
		defer cancel()
		select {
		case <-b.ended:
		case <-ctx.Done():
		}
	})
	return true
}

// listen opens what should be open for a Service, and then closes what should
// not: an address that goes from one of its ports to another is never closed.
func (b *Board) listen(ctx context.Context, s Service, now *service) (failed map[string]error) {
	wanted := map[string]bool{}
	for _, p := range s.Ports {
		l := proxy.Listener{Name: s.Name + ":" + p.Name, Mode: p.Mode, H2C: p.H2C, Pool: now.ports[p.Name].pool}
		for _, addresses := range byNumber(p.Addresses) {
			missing := b.openAll(ctx, s.Name, now, l, addresses)
			for _, address := range addresses {
				wanted[address] = missing == nil
			}
			if failed == nil {
				failed = missing
			}
			maps.Copy(failed, missing)
		}
	}
	for address := range now.open {
		if !wanted[address] {
			b.proxy.Close(address)
			delete(now.open, address)
			delete(b.holders, address)
		}
	}
	now.closed = len(failed) > 0
	return failed
}

// openAll opens addresses with one port number. At the first that cannot be, it
// gives up on all of them: a port that is somebody else's at one of them would
// be a riddle.
func (b *Board) openAll(ctx context.Context, name string, now *service, l proxy.Listener, addresses []string) (failed map[string]error) {
	for _, address := range addresses {
		l.Address = address
		err := b.hold(ctx, name, l)
		if err == nil {
			now.open[address] = true
			continue
		}
		failed = map[string]error{}
		for _, other := range addresses {
			failed[other] = ErrApart
		}
		failed[address] = err
		return failed
	}
	return nil
}

// byNumber groups addresses by their port number, in their order.
func byNumber(addresses []string) [][]string {
	var groups [][]string
	at := map[string]int{}
	for _, address := range addresses {
		number := address[strings.LastIndexByte(address, ':')+1:]
		i, known := at[number]
		if !known {
			i = len(groups)
			at[number] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], address)
	}
	return groups
}

// hold opens an address for a Service. The proxy would let a second Service
// take it over, so whose it is is known here.
func (b *Board) hold(ctx context.Context, name string, l proxy.Listener) error {
	if holder := b.holders[l.Address]; holder != "" && holder != name {
		return &HeldError{By: holder}
	}
	b.unshare(l.Address)
	if err := b.proxy.Listen(ctx, l); err != nil {
		return err
	}
	b.holders[l.Address] = name
	return nil
}
