package gateway

import (
	"context"
	"errors"
	"net"
	"time"
)

const tunnelPatience = 5 * time.Second

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
