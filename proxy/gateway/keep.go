package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"skiff/proxy/jsonl"
)

// Run keeps the gateway running, and tells it what it has to know, until ctx
// ends. The gateway is left as it is then.
func (l *Link) Run(ctx context.Context) error {
	defer l.goUp()
	defer func() { _ = l.tunnels.Wait() }() // none of them says anything
	l.heard = time.Now()
	for delay := firstRetry; ctx.Err() == nil; {
		conn, err := l.reach(ctx)
		before := l.heard
		if err == nil {
			err = l.serve(ctx, conn)
		}
		if l.heard.After(before) {
			delay = firstRetry
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

// reach has the gateway run and connects to it. One that refuses has only just
// begun, so it has let go of everything, as has one that does not run. One that
// cannot be asked may be forwarding still.
func (l *Link) reach(ctx context.Context) (net.Conn, error) {
	err := l.ensure(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	l.note(err)
	conn, err := l.connect(ctx, linkTag)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) {
		l.gateway.Lost(true)
	}
	return conn, err
}

// note says what keeps the gateway from running, and that this is over, when
// it changes.
func (l *Link) note(trouble error) {
	now := ""
	if trouble != nil {
		now = trouble.Error()
		l.goUp()
	}
	switch {
	case now == l.trouble:
	case trouble != nil:
		l.options.Log.Warn("Pods cannot reach Services: the gateway does not run; trying again", "error", trouble)
	default:
		l.options.Log.Info("the gateway runs again")
	}
	l.trouble = now
}

func (l *Link) ensure(ctx context.Context) error {
	machine := l.options.Machine
	running, fit, err := machine.Running(ctx)
	if silent := time.Since(l.heard); err == nil && running && silent > l.patience {
		l.options.Log.Warn("Pods cannot reach Services: the gateway does not answer; making another", "silent", silent)
		running, fit, err = false, false, machine.Remove(ctx)
	}
	if err != nil || fit {
		return err
	}
	if !running {
		l.gateway.Lost(true)
	}
	if err := machine.Start(ctx); err != nil {
		return err
	}
	l.gateway.Lost(true)
	l.heard = time.Now()
	return nil
}

// serve tells the gateway everything, and then every change, until the
// connection ends.
func (l *Link) serve(ctx context.Context, conn net.Conn) error {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	since := time.Now()
	select {
	case <-l.begun:
	case <-ctx.Done():
		return ctx.Err()
	}
	l.heard = l.heard.Add(time.Since(since)) // it had nothing to answer
	out := jsonl.NewOutbox[message]()
	first := l.takeUp(out)
	defer l.gateway.Lost(false)
	over := make(chan struct{})
	var writing sync.WaitGroup
	defer writing.Wait()
	defer close(over)
	defer conn.Close() // first: what is left to be written is of no use
	writing.Go(func() {
		if out.Run(conn, over) != nil {
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
			l.gateway.Tell(message{Count: true})
		case <-over:
			return
		}
	}
}

func (l *Link) listen(ctx context.Context, conn net.Conn, first uint64) error {
	in := jsonl.NewReader[report](conn, maxReport)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		r, err := in.Next()
		switch {
		case err != nil:
			return err
		case r.Open != 0:
			l.open(ctx, r.Open)
			continue
		}
		l.heard = time.Now()
		l.done(r)
		if r.Done == first {
			l.goUp()
		}
	}
}

// open begins a tunnel. Of one that does not come the gateway tells its client
// that the API is not there.
func (l *Link) open(ctx context.Context, number uint64) {
	begun := l.tunnels.TryGo(func() error {
		l.tunnel(ctx, number)
		return nil
	})
	if !begun {
		l.options.Log.Warn("Pods have too many connections to the API; refusing another one", "limit", maxTunnels)
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
