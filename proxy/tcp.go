package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"

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
		what.Pool.Failed(claim, unserved(err))
		p.options.Log.Debug("closed a connection", "listener", what.Name, "reason", err)
		return
	}
	defer claim.Release()
	defer server.Close()
	j := p.join(client, server)
	claim.Stream(pool.TCP, j)
	claim.Answered(0)
	claim.OnCut(func(error) { j.abort() })
	stop := context.AfterFunc(ctx, j.Close)
	defer stop()
	if j.run(); j.brokenOff() {
		claim.Broke()
	}
}

// joint is a client's connection and one to a back end that are joined.
type joint interface {
	pool.Resting
	run()            // until both are closed
	brokenOff() bool // by the back end
	abort()          // like Close, but who is amid something is told that this is no end
}

func (p *Proxy) join(client, server net.Conn) joint {
	if j := p.reactors.join(client, server); j != nil {
		return j
	}
	return newSplice(client, server)
}

// unserved says why a connection or a session has no back end.
func unserved(err error) pool.Cause {
	var unavailable *pool.UnavailableError
	switch {
	case errors.As(err, &unavailable):
		return pool.Unavailable
	case errors.Is(err, errClientGone):
		return pool.ClientGone
	case errors.Is(err, errShutdown):
		return pool.Shutdown
	}
	return pool.Unreached
}

var errClientGone = errors.New("the client left while it waited")

// reach claims back ends until one takes the connection. With an error comes the
// claim that was last, if there was any, which has ended.
func (p *Proxy) reach(ctx context.Context, client net.Conn, gone context.CancelCauseFunc, from *pool.Pool) (*pool.Claim, net.Conn, error) {
	var claim *pool.Claim
	for attempt := 1; ; attempt++ {
		stop := func() {}
		if !from.Ready() {
			stop = watchParked(client, gone)
		}
		next, err := from.ClaimFor(ctx, addressOf(client.RemoteAddr()), claim)
		stop()
		if err != nil {
			return claim, nil, err
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
			return claim, nil, err
		}
	}
}

func (p *Proxy) dialBackend(claim *pool.Claim) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(claim.Context(), dialTimeout)
	defer cancel()
	return p.options.Dial(ctx, "tcp", claim.Backend().Address())
}

// addressOf is where a client is, whatever its port.
func addressOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}
