package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"skiff/proxy/pool"
)

// echoUDP answers each datagram with its name before it, until the test ends.
func echoUDP(t *testing.T, name string) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, maxDatagram)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			conn.WriteTo(append([]byte(name+" "), buffer[:n]...), from)
		}
	}()
	return conn.LocalAddr().String()
}

// A client stays with its back end; when that leaves, its next datagram goes to
// another one, and what has no back end yet waits for one.
func TestUDP(t *testing.T) {
	t.Parallel()
	p, back, ctx, address := listenUDP(t)
	client := dialUDP(t, address)
	client.send("early")
	back.Add("a", echoUDP(t, "a"))
	if got := client.hear(); got != "a early" {
		t.Errorf("what came before there was a back end: %q", got)
	}
	back.Add("b", echoUDP(t, "b"))
	for n := range 50 {
		client.send(fmt.Sprint(n))
		if got := client.hear(); got != fmt.Sprint("a ", n) {
			t.Errorf("datagram %d: %q", n, got)
		}
	}
	drainCtx, done := context.WithTimeout(ctx, time.Minute)
	defer done()
	if err := back.Drain(drainCtx, "a", time.Second); err != nil {
		t.Error(err)
	}
	client.send("later")
	if got := client.hear(); got != "b later" {
		t.Errorf("after the back end left: %q", got)
	}
	if err := p.Listen(ctx, Listener{Name: "again", Address: address + UDPSuffix, Mode: UDP, Pool: back}); err != nil {
		t.Errorf("open what is open: %v", err)
	}
	p.Close(address + UDPSuffix)
	again, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatalf("a closed address is not free: %v", err)
	}
	again.Close()
}

// Once a back end is out of the pool, if only for a while, what clients say goes
// elsewhere, and what it still answers arrives.
func TestUDPBackEndIsTakenOut(t *testing.T) {
	t.Parallel()
	_, back, _, address := listenUDP(t)
	slow, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slow.Close() })
	back.Add("slow", slow.LocalAddr().String())
	client := dialUDP(t, address)
	client.send("early")
	buffer := make([]byte, maxDatagram)
	n, from, err := slow.ReadFrom(buffer)
	if err != nil || string(buffer[:n]) != "early" {
		t.Fatalf("%q, %v", buffer[:n], err)
	}
	back.Add("b", echoUDP(t, "b"))
	back.Remove("slow")
	for range 3 {
		client.send("later")
		if got := client.hear(); got != "b later" {
			t.Errorf("after the back end was taken out: %q", got)
		}
	}
	if _, err := slow.WriteTo([]byte("at last"), from); err != nil {
		t.Fatal(err)
	}
	if got := client.hear(); got != "at last" {
		t.Errorf("what was asked for before: %q", got)
	}
}

// listenUDP is a proxy with one address of UDP, and the pool behind that.
func listenUDP(t *testing.T) (p *Proxy, back *pool.Pool, ctx context.Context, address string) {
	t.Helper()
	p = New(Options{})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	back = p.NewPool()
	back.Expect(pool.Expectation{Coming: true})
	t.Cleanup(back.Close)
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = free.LocalAddr().String()
	free.Close()
	if err := p.Listen(ctx, Listener{Name: "test", Address: address + UDPSuffix, Mode: UDP, Pool: back}); err != nil {
		t.Fatal(err)
	}
	return p, back, ctx, address
}

// Clients that ask once, each from a port of its own, keep nobody out, and no
// one that goes on talking loses its back end.
func TestUDPManyClients(t *testing.T) {
	t.Parallel()
	_, back, _, address := listenUDP(t)
	back.Add("a", mirrorUDP(t))
	faithful := dialUDP(t, address)
	faithful.send("first")
	session := faithful.hear()
	for n := range maxSessions + 500 {
		func() {
			c := dialUDP(t, address)
			defer c.conn.Close()
			c.send("once")
			c.hear()
		}()
		if n%20 != 0 {
			continue
		}
		faithful.send("on")
		if got := faithful.hear(); got != session {
			t.Fatalf("at client %d the first one's session was %s and is %s", n, session, got)
		}
	}
}

// mirrorUDP answers each datagram with where it came from.
func mirrorUDP(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, maxDatagram)
		for {
			_, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			conn.WriteTo([]byte(from.String()), from)
		}
	}()
	return conn.LocalAddr().String()
}

// What waits for a back end takes a bounded room, and is let go when its client
// is forgotten.
func TestUDPWaitingIsBounded(t *testing.T) {
	t.Parallel()
	p, back, ctx, address := listenUDP(t)
	p.mu.Lock()
	r := p.relays[address+UDPSuffix]
	p.mu.Unlock()
	large := make([]byte, 60<<10)
	for n := range 4 {
		for range maxQueued {
			r.take(ctx, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(n+1)), large)
		}
	}
	if got := r.waiting.Load(); got > maxWaiting || got < maxWaiting-int64(len(large)) {
		t.Errorf("%d bytes wait", got)
	}
	back.Expect(pool.Expectation{Reason: "nothing comes"})
	eventually(t, "nothing waits any more", func() bool { return r.waiting.Load() == 0 })
}

type udpClient struct {
	t    *testing.T
	conn net.Conn
}

func dialUDP(t *testing.T, address string) udpClient {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return udpClient{t, conn}
}

func (c udpClient) send(text string) {
	c.t.Helper()
	if _, err := fmt.Fprint(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c udpClient) hear() string {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(time.Minute))
	buffer := make([]byte, maxDatagram)
	n, err := c.conn.Read(buffer)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(buffer[:n])
}
