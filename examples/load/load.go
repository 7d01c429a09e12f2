// Package load puts a steady HTTP load on an address and keeps count of what
// came back. Requests are due at fixed times whatever the server does (an open
// loop), and a wait counts from the time that a request was due. No request is
// ever tried twice: net/http's client would hide what a proxy drops on a
// connection that is kept alive, so the connections are handled here.
package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options say what load is put on which address.
type Options struct {
	Address string  // host:port
	Path    string  // default /
	Rate    int     // requests per second
	Fresh   float64 // share of requests that open a connection of their own, 0 to 1
	Conns   int     // connections kept alive for the others; default 64
	Body    string  // where it is set, requests are POSTs of it, and the answer must be the same
	Timeout time.Duration
	TLS     *tls.Config // nil: plain HTTP
}

// Run puts the load on until ctx ends, waits for what is under way and returns
// the count.
func Run(ctx context.Context, o Options, seen func(Sample)) *Result {
	if o.Conns == 0 {
		o.Conns = 64
	}
	if o.Timeout == 0 {
		o.Timeout = 40 * time.Second
	}
	g := &generator{Options: o, result: newResult(), seen: seen, kept: make(chan time.Time, 1<<16)}
	var wg sync.WaitGroup
	for range o.Conns {
		wg.Go(g.keepAlive)
	}
	g.schedule(ctx, &wg)
	close(g.kept)
	wg.Wait()
	g.result.end()
	return g.result
}

type generator struct {
	Options
	result *Result
	seen   func(Sample)
	kept   chan time.Time // due times of requests for the connections kept alive
}

// schedule starts every request when it is due.
func (g *generator) schedule(ctx context.Context, wg *sync.WaitGroup) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	start, sent, fresh := time.Now(), 0, 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(start).Seconds() * float64(g.Rate)); sent < due; sent++ {
			at := start.Add(time.Duration(float64(sent) / float64(g.Rate) * float64(time.Second)))
			if fresh += g.Fresh; fresh < 1 {
				g.kept <- at
				continue
			}
			fresh--
			wg.Go(func() { g.once(at) })
		}
	}
}

// keepAlive sends its requests one after the other on one connection, and opens
// a new one only after the server said it would close, or failed.
func (g *generator) keepAlive() {
	var c *conn
	for due := range g.kept {
		var err error
		if c == nil {
			if c, err = g.dial(); err != nil {
				g.record(Sample{Due: due, Err: err})
				continue
			}
		}
		s, closes := g.exchange(c, due, false)
		g.record(s)
		if s.Err != nil || closes {
			c.Close()
			c = nil
		}
	}
	if c != nil {
		c.Close()
	}
}

func (g *generator) once(due time.Time) {
	c, err := g.dial()
	if err != nil {
		g.record(Sample{Due: due, Err: err})
		return
	}
	defer c.Close()
	s, _ := g.exchange(c, due, true)
	g.record(s)
}

func (g *generator) record(s Sample) {
	s.Wait = time.Since(s.Due)
	g.result.add(s)
	if g.seen != nil {
		g.seen(s)
	}
}

type conn struct {
	net.Conn
	r *bufio.Reader
}

func (g *generator) dial() (*conn, error) {
	d := &net.Dialer{Timeout: g.Timeout}
	var c net.Conn
	var err error
	if g.TLS == nil {
		c, err = d.Dial("tcp", g.Address)
	} else {
		c, err = tls.DialWithDialer(d, "tcp", g.Address, g.TLS)
	}
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReader(c)}, nil
}

// exchange sends one request and reads its whole answer.
func (g *generator) exchange(c *conn, due time.Time, last bool) (s Sample, closes bool) {
	s.Due = due
	method, path := http.MethodGet, g.Path
	if path == "" {
		path = "/"
	}
	var body io.Reader
	if g.Body != "" {
		method, body = http.MethodPost, strings.NewReader(g.Body)
	}
	req, err := http.NewRequest(method, "http://"+g.Address+path, body)
	if err != nil {
		s.Err = err
		return s, true
	}
	req.Close = last
	if s.Err = c.SetDeadline(time.Now().Add(g.Timeout)); s.Err != nil {
		return s, true
	}
	if s.Err = req.Write(c); s.Err != nil {
		return s, true
	}
	resp, err := http.ReadResponse(c.r, req)
	if err != nil {
		s.Err = err
		return s, true
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	resp.Body.Close()
	s.Version = resp.Header.Get("X-Version")
	switch {
	case err != nil:
		s.Err = fmt.Errorf("read answer: %w", err)
	case resp.StatusCode != http.StatusOK:
		s.Err = fmt.Errorf("%s: %.200s", resp.Status, strings.TrimSpace(string(answer)))
	case g.Body != "" && string(answer) != g.Body:
		s.Err = fmt.Errorf("answer of %d bytes differs from the %d that were sent", len(answer), len(g.Body))
	}
	return s, resp.Close
}
