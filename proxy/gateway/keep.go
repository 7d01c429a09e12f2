package gateway

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// Run keeps the gateway running, and tells it what it has to know, until ctx
// ends. The gateway is left as it is then.
func (l *Link) Run(ctx context.Context) error {
	defer l.goUp()
	defer l.tunnels.Wait()
	for delay := firstRetry; ctx.Err() == nil; {
		conn, err := l.reach(ctx)
		if err == nil {
			delay = firstRetry
			err = l.serve(ctx, conn)
		}
		if ctx.Err() != nil {
			return nil
		}
		l.options.Log.Debug("no link to the gateway; trying again", "error", err)
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		delay = min(2*delay, longestRetry)
	}
	return nil
}

// reach has the gateway run and connects to it. One that cannot be connected to
// can be connected to by nobody, so it counts as let go of everything.
func (l *Link) reach(ctx context.Context) (net.Conn, error) {
	running, err := l.options.Machine.Running(ctx)
	if err == nil && !running {
		l.lose(true)
		err = l.options.Machine.Start(ctx)
	}
	if err != nil && ctx.Err() == nil {
		l.options.Log.Warn("Pods cannot reach Services: the gateway does not run; trying again", "error", err)
		l.goUp()
	}
	conn, err := l.connect(ctx, linkTag)
	if err != nil {
		l.lose(true)
		return nil, err
	}
	return conn, nil
}

// serve tells the gateway everything, and then every change, until the
// connection ends.
func (l *Link) serve(ctx context.Context, conn net.Conn) error {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	select {
	case <-l.begun:
	case <-ctx.Done():
		return ctx.Err()
	}
	out := newOutbox[message]()
	first := l.takeUp(out)
	defer l.lose(false)
	over := make(chan struct{})
	var writing sync.WaitGroup
	defer writing.Wait()
	defer close(over)
	writing.Go(func() {
		if out.run(conn, over) != nil {
			conn.Close()
		}
	})
	writing.Go(func() { l.ping(over) })
	return l.listen(ctx, conn, first)
}

func (l *Link) ping(over <-chan struct{}) {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.mu.Lock()
			l.tell(message{})
			l.mu.Unlock()
		case <-over:
			return
		}
	}
}

func (l *Link) listen(ctx context.Context, conn net.Conn, first uint64) error {
	in := newLines[report](conn, maxReport)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		r, err := in.next()
		switch {
		case err != nil:
			return err
		case r.Open != 0:
			l.tunnels.Go(func() { l.tunnel(ctx, r.Open) })
			continue
		}
		l.done(r)
		if r.Done == first {
			l.goUp()
		}
	}
}

// tunnel joins a client of the gateway with the API.
func (l *Link) tunnel(ctx context.Context, number uint64) {
	api, err := l.options.API(ctx)
	if err != nil {
		l.options.Log.Debug("open a tunnel to the API", "error", err)
		return
	}
	defer api.Close()
	client, err := l.connect(ctx, number)
	if err != nil {
		l.options.Log.Debug("open a tunnel to the API", "error", err)
		return
	}
	defer client.Close()
	defer context.AfterFunc(ctx, func() {
		api.Close()
		client.Close()
	})()
	var up sync.WaitGroup
	up.Go(func() { pass(api, client) })
	pass(client, api)
	up.Wait()
}

// pass copies one direction and passes its end on.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		to.Close()
		from.Close()
	}
}
