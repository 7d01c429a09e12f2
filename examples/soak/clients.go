package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"skiff/examples/load"
)

const (
	// useEvery is how often a kept HTTP connection carries a request.
	useEvery = 5 // seconds
	// fresh is the share of requests that open a connection of their own.
	fresh = 0.2
	// patience is longer than skiff holds a connection.
	patience = 40 * time.Second
	// ramp is how many connections of the slow kinds are opened per second, at
	// first.
	ramp = 1000
)

// clients keep connections of every kind: of ten, four that carry HTTP
// requests now and then, three of TCP and three WebSockets, which say one thing
// and then rest until they are let go.
type clients struct {
	end  context.CancelFunc
	wg   sync.WaitGroup
	open atomic.Int64 // TCP and WebSockets that are at rest
	made atomic.Int64 // of these, in all
	http atomic.Int64 // answers

	mu    sync.Mutex
	lost  int
	first []error // the first ten
}

func start(ctx context.Context, addresses []address, conns int) *clients {
	ctx, cancel := context.WithCancel(ctx)
	c := &clients{end: cancel}
	each := conns / len(addresses) / 10
	for _, a := range addresses {
		c.wg.Go(func() {
			load.Run(ctx, load.Options{Address: a.http, Rate: max(1, 4*each/useEvery), Fresh: fresh, Conns: 4 * each}, func(s load.Sample) {
				c.http.Add(1)
				c.note("HTTP", s.Err)
			})
		})
		for n := range 3 * each {
			delay := time.Duration(n*len(addresses)) * time.Second / (ramp / 2)
			c.wg.Go(func() { c.keep(ctx, delay, "TCP", func(ctx context.Context) error { return c.tcp(ctx, a.tcp) }) })
			c.wg.Go(func() {
				c.keep(ctx, delay, "WebSocket", func(ctx context.Context) error { return c.webSocket(ctx, a.http) })
			})
		}
	}
	return c
}

// keep opens a connection again whenever it was let go.
func (c *clients) keep(ctx context.Context, delay time.Duration, kind string, connection func(context.Context) error) {
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
	for ctx.Err() == nil {
		if err := connection(ctx); ctx.Err() == nil {
			c.note(kind, err)
		}
	}
}

func (c *clients) tcp(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, 16)
	if line, err := r.ReadString('\n'); err != nil || line != "hello\n" {
		return fmt.Errorf("said hello, heard %q: %w", line, err)
	}
	conn.SetDeadline(time.Time{})
	defer c.rest()()
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("not let go but cut off: %w", err)
	}
	return nil
}

func (c *clients) webSocket(ctx context.Context, address string) error {
	dialer := websocket.Dialer{HandshakeTimeout: patience, ReadBufferSize: 512, WriteBufferSize: 512}
	conn, _, err := dialer.DialContext(ctx, "ws://"+address+"/ws", nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		return err
	}
	// The goodbye may come first.
	_, said, err := conn.ReadMessage()
	if err == nil && string(said) != "hello" {
		return fmt.Errorf("said hello, heard %q", said)
	}
	defer c.rest()()
	if err == nil {
		_, _, err = conn.ReadMessage()
	}
	if !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		return fmt.Errorf("not let go but cut off: %w", err)
	}
	return nil
}

func (c *clients) rest() (end func()) {
	c.made.Add(1)
	c.open.Add(1)
	return func() { c.open.Add(-1) }
}

func (c *clients) note(kind string, err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost++
	if len(c.first) < 10 {
		c.first = append(c.first, fmt.Errorf("%s %s: %w", time.Now().UTC().Format("15:04:05.000"), kind, err))
	}
}

func (c *clients) stop() {
	c.end()
	c.wg.Wait()
}

func (c *clients) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%d requests, %d connections at rest, %d made, %d lost", c.http.Load(), c.open.Load(), c.made.Load(), c.lost)
}

func (c *clients) verdict() error {
	if c.lost > 0 {
		return errors.Join(append([]error{fmt.Errorf("%d lost", c.lost)}, c.first...)...)
	}
	if c.http.Load() == 0 || c.made.Load() == 0 {
		return errors.New("there was no load")
	}
	return nil
}
