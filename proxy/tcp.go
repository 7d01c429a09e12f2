package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"skiff/proxy/pool"
)

// serveTCP is the story of one TCP connection: it is parked while no back end
// is there but one is coming, and nothing is read from it before.
func (p *Proxy) serveTCP(ctx context.Context, client net.Conn, what *Listener) {
	defer client.Close()
	ctx, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	claim, server, err := p.reach(ctx, client, gone, what.Pool)
	if err != nil {
		why := pool.Unreached
		var unavailable *pool.UnavailableError
		switch {
		case errors.As(err, &unavailable):
			why = pool.Unavailable
		case errors.Is(err, errClientGone):
			why = pool.ClientGone
		}
		what.Pool.Failed(why)
		p.options.Log.Info("closed a connection", "listener", what.Name, "reason", err)
		return
	}
	defer claim.Release()
	defer server.Close()
	s := newSplice(client, server)
	claim.Stream(s)
	stop := context.AfterFunc(claim.Context(), s.Close)
	defer stop()
	s.run()
}

var errClientGone = errors.New("the client left while it waited")

// reach claims back ends until one takes the connection.
func (p *Proxy) reach(ctx context.Context, client net.Conn, gone context.CancelCauseFunc, from *pool.Pool) (*pool.Claim, net.Conn, error) {
	var claim *pool.Claim
	for attempt := 1; ; attempt++ {
		stop := func() {}
		if !from.Ready() {
			stop = watchParked(client, gone)
		}
		next, err := from.Claim(ctx, claim)
		stop()
		if err != nil {
			return nil, nil, err
		}
		claim = next
		server, err := p.dialBackend(claim)
		if err == nil {
			return claim, server, nil
		}
		if claim.Context().Err() == nil {
			claim.Unreachable()
		}
		claim.Release()
		if attempt == maxAttempts {
			return nil, nil, err
		}
	}
}

func (p *Proxy) dialBackend(claim *pool.Claim) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(claim.Context(), dialTimeout)
	defer cancel()
	return p.options.Dial(ctx, "tcp", claim.Backend().Address())
}

// splice joins two connections. Between TCP connections of the same kernel it
// is the kernel that moves the bytes, and knows when the last ones came.
type splice struct {
	client, server net.Conn

	// When bytes last passed, in Unix nanoseconds; used where the kernel does
	// not tell.
	lastUp, lastDown atomic.Int64
}

func newSplice(client, server net.Conn) *splice {
	s := &splice{client: client, server: server}
	now := time.Now().UnixNano()
	s.lastUp.Store(now)
	s.lastDown.Store(now)
	return s
}

func (s *splice) run() {
	var up sync.WaitGroup
	up.Go(func() { s.copy(s.server, s.client, &s.lastUp) })
	s.copy(s.client, s.server, &s.lastDown)
	up.Wait()
}

// copy passes the end of one direction on, and leaves the other one alone: a
// client may well say all it has to say and then wait for the answer.
func (s *splice) copy(to, from net.Conn, at *atomic.Int64) {
	var w io.Writer = to
	if _, told := lastReceived(from); !told {
		w = stamping{to, at}
	}
	_, err := io.Copy(w, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		s.Close()
	}
}

// Close cuts both connections.
func (s *splice) Close() {
	s.client.Close()
	s.server.Close()
}
