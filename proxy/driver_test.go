package proxy

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// driver behaves like a database driver: one connection watches, the others
// carry queries one after the other without a pause. When the watching one
// ends, those in use are given up after their query. A query that fails is an
// error to the application.
type driver struct {
	address    string
	generation atomic.Int64
}

func (d *driver) watch(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := dialLine(d.address)
		if err != nil {
			continue
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		c.ask("hello")
		c.in.ReadByte() // waits for news
		stop()
		c.Close()
		d.generation.Add(1)
	}
}

func (d *driver) queries(l *load, t *testing.T) {
	var mu sync.Mutex
	conns := map[*lineClient]int64{}
	defer t.Cleanup(func() {
		for c := range conns {
			c.Close()
		}
	})
	l.run(t, 3, func(i int) error {
		generation := d.generation.Load()
		mu.Lock()
		var c *lineClient
		for idle, born := range conns {
			delete(conns, idle)
			if born == generation {
				c = idle
				break
			}
			idle.Close()
		}
		mu.Unlock()
		if c == nil {
			var err error
			if c, err = dialLine(d.address); err != nil {
				return err
			}
		}
		if _, err := c.ask(fmt.Sprint(i)); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		conns[c] = generation
		return nil
	})
}

// The database upgrade: one server, stopped before the next starts, under a
// driver with a pool. It sees pauses and not one error.
func TestTCPDriverSeesAPause(t *testing.T) {
	t.Parallel()
	f := newFront(t, TCP, Options{})
	expectComing(f)
	now := newLineServer(t, "db0")
	f.pool.Add(now.id, now.address)

	d := &driver{address: f.address}
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { d.watch(ctx) })
	l := &load{stop: make(chan struct{})}
	d.queries(l, t)
	for i := 1; i <= 3; i++ {
		l.more(t, 100)
		start := time.Now()
		if err := f.pool.Drain(t.Context(), now.id, 5*time.Second); err != nil {
			t.Error(err)
		}
		t.Logf("drained in %s", time.Since(start))
		now.rudeStop()
		eventually(t, "connections are parked", func() bool { return f.pool.Snapshot().Waiting > 0 })
		now = newLineServer(t, fmt.Sprint("db", i))
		f.pool.Add(now.id, now.address)
	}
	l.more(t, 100)
	stop()
	l.end(t)
	watching.Wait()
	if s := f.pool.Snapshot(); s.CutAtDrain > 0 {
		t.Errorf("%d connections were cut at the deadline", s.CutAtDrain)
	}
}

// message is one of MongoDB's protocol that carries a document.
func message(opcode uint32, document string) []byte {
	body := "\x00\x00\x00\x00" + "\x00" + "size" + document
	m := make([]byte, 16)
	binary.LittleEndian.PutUint32(m, uint32(16+len(body)))
	binary.LittleEndian.PutUint32(m[12:], opcode)
	return append(m, body...)
}

const (
	hello = "\x10hello\x00\x01\x00\x00\x00"
	await = "\x12maxAwaitTimeMS\x00\x10\x27"
)

// A driver that is slow to notice that the connection by which it watches is gone
// finds its pool as it was. That of another client, elsewhere, is let go meanwhile.
func TestTCPDriverHasItsTime(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"sockets": {}, "through another dialer": {Dial: dialWrapped}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driverHasItsTime(t, o)
		})
	}
}

func driverHasItsTime(t *testing.T, o Options) {
	f := newFront(t, TCP, o)
	expectComing(f)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	f.pool.Add("db", listener.Addr().String())
	// open is a connection from an address on which something has been said.
	open := func(from string, request []byte, answer string) (client, server *net.TCPConn) {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := dialer.Dial("tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		accepted, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { accepted.Close() })
		client, server = conn.(*net.TCPConn), accepted.(*net.TCPConn)
		for _, c := range []*net.TCPConn{client, server} {
			c.SetDeadline(time.Now().Add(time.Minute))
		}
		client.Write(request)
		hear(t, server, string(request))
		io.WriteString(server, answer)
		hear(t, client, answer)
		return client, server
	}
	const total, slow = 4 * time.Second, 500 * time.Millisecond
	const mine, other = "127.0.0.1", "127.0.0.2"
	var all []*net.TCPConn
	for range 4 {
		c, _ := open(mine, message(2013, "\x02find\x00"), "found")
		all = append(all, c)
	}
	elsewhere, _ := open(other, []byte("query"), "answer")
	<-time.After(total / 4) // what is at rest is so for long
	watch, server := open(mine, message(2013, hello+await), "")
	io.WriteString(server, "news")
	hear(t, watch, "news")

	drained := make(chan error, 1)
	go func() { drained <- f.pool.Drain(t.Context(), "db", total) }()
	if n, err := watch.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("the connection that watches heard %d bytes, %v", n, err)
	}
	noticed := time.Now().Add(slow)
	if n, err := elsewhere.Read(make([]byte, 1)); err != io.EOF || time.Now().After(noticed) {
		t.Errorf("the other client's heard %d bytes, %v, %s too late", n, err, time.Since(noticed))
	}
	for i, c := range all {
		c.SetReadDeadline(noticed)
		if n, err := c.Read(make([]byte, 1)); !os.IsTimeout(err) {
			t.Errorf("connection %d of the pool heard %d bytes, %v", i, n, err)
		}
		c.Close()
	}
	if err := <-drained; err != nil || time.Since(noticed) > total/2 {
		t.Errorf("drained %s after the driver has noticed: %v", time.Since(noticed), err)
	}
}

func TestWatches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		request []byte
		want    bool
	}{
		{"a driver that watches", message(2013, hello+await), true},
		{"an older one", message(2013, "\x01isMaster\x00"+await), true},
		{"its first word", message(2013, hello+"\x02client\x00"), false},
		{"a query", message(2013, "\x02find\x00people\x00"), false},
		{"somebody of that name", message(2013, "\x02insert\x00people\x00hello\x00maxAwaitTimeMS\x00"), false},
		{"another protocol", []byte("SELECT 'a text that is not' hello\x00maxAwaitTimeMS\x00"), false},
		{"another message", message(2012, hello+"\x12maxAwaitTimeMS\x00"), false},
		{"a large document", message(2013, hello+"maxAwaitTimeMS\x00"+strings.Repeat("x", 5000)), false},
		{"the beginning of one", message(2013, hello[:4]), false},
		{"a header", message(2013, "")[:16], false},
		{"nothing", nil, false},
	}
	for _, test := range tests {
		if got := watches(test.request); got != test.want {
			t.Errorf("%s: got %t", test.name, got)
		}
	}
}
