package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"skiff/proxy"
)

// Drain's word comes when the gateway's last request has ended, and Remove's
// when the gateway sends no other.
func TestAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, slow, let := serve(t, "a")
	b, _, _ := serve(t, "b")
	w.Set(t.Context(), w.service(80, member("a", a)))
	w.Begin()
	w.eventually("a", 80)
	answer := make(chan string, 1)
	go func() { answer <- w.get(80, "/slow") }()
	<-slow

	w.Set(t.Context(), w.service(80, member("a", a), member("b", b)))
	if err := w.Remove("a")(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if got := w.get(80, "/"); got != "b" {
			t.Fatalf("after Remove: %q", got)
		}
	}
	drained := make(chan error, 1)
	wait := w.Drain("a", time.Second)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		drained <- wait(ctx)
	}()
	select {
	case err := <-drained:
		t.Fatalf("drained with a request in flight: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	close(let)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if got := <-answer; got != "a" {
		t.Errorf("the request in flight: %q", got)
	}
}

// Where the gateway does not run, nobody waits for it; when it comes back it
// has everything.
func TestGatewayAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _, _ := serve(t, "a")
	b, _, _ := serve(t, "b")
	w.Set(t.Context(), w.service(80, member("a", a), member("b", b)))
	w.Begin()
	w.eventually("a", 80)
	w.machine.breaks(errors.New("it is broken"))
	w.machine.kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := errors.Join(w.Drain("a", time.Second)(ctx), w.Remove("none")(ctx)); err != nil {
		t.Errorf("without a gateway: %v", err)
	}
	w.machine.breaks(nil)
	w.eventually("b", 80)
	for range 20 {
		if got := w.get(80, "/"); got != "b" {
			t.Fatalf("what left meanwhile is back: %q", got)
		}
	}
}

// An address that was not free is opened once it is.
func TestAddressIsRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _, _ := serve(t, "a")
	b, _, _ := serve(t, "b")
	s := w.service(80, member("a", a), member("b", b))
	taken, err := net.Listen("tcp", s.Ports[0].Addresses[0])
	if err != nil {
		t.Fatal(err)
	}
	w.Set(t.Context(), s)
	w.Begin()
	<-w.Up()
	if err := errors.Join(w.Remove("a")(t.Context()), taken.Close()); err != nil {
		t.Fatal(err)
	}
	if got := w.get(80, "/"); !strings.Contains(got, "refused") {
		t.Errorf("before it is tried again: %q", got)
	}
	if err := w.Recount(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if got := w.get(80, "/"); got != "b" {
			t.Fatalf("afterwards: %q", got)
		}
	}
}

// Without a daemon the gateway goes on; the next daemon is believed only once
// it says that it knows everything, and then to the letter.
func TestDaemonAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _, _ := serve(t, "a")
	b, _, _ := serve(t, "b")
	w.Set(t.Context(), w.service(80, member("a", a)))
	other := w.service(81, member("a", a))
	other.Name = "default/other"
	w.Set(t.Context(), other)
	w.Begin()
	w.eventually("a", 80)
	w.eventually("a", 81)

	w.stop()
	w.connect()
	for range 20 {
		if got := w.get(80, "/"); got != "a" {
			t.Fatalf("with a daemon that does not know anything yet: %q", got)
		}
	}
	w.Set(t.Context(), w.service(80, member("b", b)))
	w.Begin()
	w.eventually("b", 80)
	if got := w.get(81, "/"); !strings.Contains(got, "refused") {
		t.Errorf("a Service that is gone: %q", got)
	}
	w.stop()
	w.eventually("b", 80)
}

// A daemon that was killed while it went down had its Pods drained. They are the
// next one's again, under their old names, although the gateway ran on.
func TestDrainedByAnEarlierDaemon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _, _ := serve(t, "a")
	w.Set(t.Context(), w.service(80, member("a", a)))
	w.Begin()
	w.eventually("a", 80)
	if err := w.Drain("a", time.Second)(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Set(t.Context(), w.service(80, member("a", a)))
	if err := w.Remove("none")(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := w.get(80, "/"), "503 service unavailable: that is all\n"; got != want {
		t.Errorf("drained for good, and set by the same daemon: %q, want %q", got, want)
	}

	w.stop()
	w.connect()
	w.Set(t.Context(), w.service(80, member("a", a)))
	w.Begin()
	<-w.Up()
	if got := w.get(80, "/"); got != "a" {
		t.Errorf("set by the next daemon: %q, want the back end's answer", got)
	}
}

// A stranger on the network can neither speak to the gateway nor hear it.
func TestStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _, _ := serve(t, "a")
	w.Set(t.Context(), w.service(80, member("a", a)))
	w.Begin()
	w.eventually("a", 80)
	other, err := makeIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := Identity{other}.tls()
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]*tls.Config{
		"no certificate":       {InsecureSkipVerify: true},
		"one of somebody else": {InsecureSkipVerify: true, Certificates: stranger.Certificates},
	} {
		conn, err := tls.Dial("tcp", w.config.control(), config)
		if err == nil {
			conn.SetDeadline(time.Now().Add(time.Minute))
			fmt.Fprint(conn, "\x00\x00\x00\x00\x00\x00\x00\x00", `{"Seq":1,"Remove":"a"}`, "\n")
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
}

// The API is reached through the daemon, and by nothing but its own address.
func TestTunnel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // echo, and then the end that the client waits for
				io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	s := w.service(443, member(API, API))
	s.Ports[0].Mode = proxy.TCP
	w.Set(t.Context(), s)
	w.Begin()
	w.api.Store(&l)
	<-w.Up()
	talk := func() error {
		conn, err := net.Dial("tcp", s.Ports[0].Addresses[0])
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprint(conn, "hello")
		conn.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(conn)
		if string(got) != "hello" {
			return fmt.Errorf("%q, %v", got, err)
		}
		return nil
	}
	for range 10 {
		if err := talk(); err != nil {
			t.Error(err)
		}
	}
}

// Pods cannot have the daemon open as many connections as they like.
func TestTunnelsAreBounded(t *testing.T) {
	t.Parallel()
	identity, err := LoadIdentity(filepath.Join(t.TempDir(), "gateway.pem"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	full := make(chan struct{})
	l, err := NewLink(LinkOptions{
		Config: NewConfig(netip.Addr{}, netip.Prefix{}, "cluster.local", identity), Log: slog.New(slog.DiscardHandler),
		API: func(context.Context) (net.Conn, error) {
			asked.Add(1)
			<-full
			return nil, errors.New("no API")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for number := range uint64(maxTunnels) + 2 {
		l.open(t.Context(), number)
	}
	close(full)
	_ = l.tunnels.Wait()
	if n := asked.Load(); n != maxTunnels {
		t.Errorf("%d tunnels at a time, want %d", n, maxTunnels)
	}
}
