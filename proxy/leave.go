package proxy

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"

	"skiff/proxy/lines"
)

// Lend gives the sockets of all listeners, for another process to accept from
// as well. From here on no address is opened in this one, until Reclaim.
func (p *Proxy) Lend() []lines.Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent = true
	var all []lines.Line
	for address, l := range p.open {
		if socket, ok := l.inner.(syscall.Conn); ok {
			all = append(all, lines.Line{Network: "tcp", Address: address, Socket: socket})
		}
	}
	for address, r := range p.relays {
		all = append(all, lines.Line{Network: "udp", Address: address, Socket: r.conn})
	}
	return all
}

// Reclaim says that the other process has not come about.
func (p *Proxy) Reclaim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent = false
}

// Leave stops accepting: what waits in the sockets is the other process's. No
// connection is closed for it, since a client may be sending its next request
// at that very moment. Its next answer says that it is the last one, and those
// that rest are closed when any would be. What goes on over UDP is for the other
// process to go on with; until their sessions end here, too, both pass on what
// back ends say.
func (p *Proxy) Leave() (flows []lines.Flow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.open {
		l.leaving.Store(true)
		l.close()
	}
	for address, r := range p.relays {
		flows = append(flows, r.depart(address)...)
	}
	return flows
}

// Empty returns when no client has a connection, or with ctx.
func (p *Proxy) Empty(ctx context.Context) error { return p.clients.none(ctx) }

// parting says whether an answer is to be the last one of its connection.
func (l *listener) parting() bool { return l.closing.Load() || l.leaving.Load() }

// depart has another process read what clients send, and nobody here: a read
// that is about to end may still take what comes at that moment. It gives what
// goes on, which ends here soon after.
func (r *relay) depart(address string) []lines.Flow {
	if r.left() {
		return nil
	}
	close(r.leave)
	r.conn.SetReadDeadline(time.Unix(1, 0))
	<-r.silent
	defer close(r.part)
	return r.flows(address)
}

// flows are the sessions that another process can go on with.
func (r *relay) flows(address string) []lines.Flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []lines.Flow
	for client, s := range r.sessions {
		if !s.joined.Load() || s.parting() {
			continue
		}
		socket, ok := s.server.(interface{ File() (*os.File, error) })
		if !ok {
			continue
		}
		if file, err := socket.File(); err == nil { // else there are no descriptors
			all = append(all, lines.Flow{Address: address, Client: client, Backend: s.backend.Load().ID(), Socket: file})
		}
	}
	return all
}

func (r *relay) left() bool {
	select {
	case <-r.leave:
		return true
	default:
		return false
	}
}

// close ends the relay and every session.
func (r *relay) close() {
	r.once.Do(func() {
		close(r.closed)
		r.conn.Close()
	})
}

// tally counts what goes on, for somebody who waits for its end.
type tally struct {
	mu   sync.Mutex
	n    int
	zero chan struct{} // nil, or closed when n becomes 0
}

func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
}

func (t *tally) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 && t.zero != nil {
		close(t.zero)
		t.zero = nil
	}
}

func (t *tally) none(ctx context.Context) error {
	t.mu.Lock()
	if t.n == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.zero == nil {
		t.zero = make(chan struct{})
	}
	zero := t.zero
	t.mu.Unlock()
	select {
	case <-zero:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
