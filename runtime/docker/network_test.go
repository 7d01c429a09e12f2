package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"

	"skiff/runtime/container"
)

// newEngineApart is newEngine on a subnet that no instance chooses by itself: none
// takes it while the test has left it.
func newEngineApart(t *testing.T) *Engine {
	t.Helper()
	n := int(instances.Add(1)) + os.Getpid()
	e := newInstance(t, fmt.Sprintf("test-%d-apart-%d", os.Getpid(), n), "uid")
	apart := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, byte(18 + n>>4&1), byte(n << 4), 0}), subnetBits)
	if got, err := e.EnsureNetwork(t.Context(), apart); err != nil || got != apart {
		t.Fatalf("EnsureNetwork(%v) = %v, %v", apart, got, err)
	}
	return e
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	e := newEngineApart(t)
	first := e.Subnet()
	again, err := e.EnsureNetwork(t.Context(), netip.Prefix{})
	if err != nil || again != first {
		t.Errorf("EnsureNetwork again = %v, %v, want %v", again, err, first)
	}
	n, err := e.api.NetworkInspect(t.Context(), e.networkName(), network.InspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ranges, err := container.Split(first)
	if err != nil {
		t.Fatal(err)
	}
	if n.Driver != "bridge" || n.Labels[labelInstance] != e.instance || n.IPAM.Config[0].IPRange != ranges.Engine.String() {
		t.Errorf("network: %+v", n)
	}

	// A new network gets what its instance had before.
	other := newInstance(t, e.instance+"-other", "uid")
	if err := e.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := other.EnsureNetwork(t.Context(), first); err != nil || got != first {
		t.Errorf("EnsureNetwork(%v) = %v, %v", first, got, err)
	}
	// Another instance has it now.
	if got, err := e.EnsureNetwork(t.Context(), first); err != nil || got.Overlaps(first) {
		t.Errorf("EnsureNetwork of a taken subnet = %v, %v", got, err)
	}
}

func TestNetworkOverlap(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	other := newInstance(t, e.instance+"-other", "uid")
	err := other.createNetwork(t.Context(), e.Subnet())
	if !cerrdefs.IsPermissionDenied(err) {
		t.Errorf("overlapping network: %v, want what makeNetwork takes for an overlap", err)
	}
}

func TestNetworkOfAnotherInstance(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	for _, uid := range []string{"another", "third"} {
		twin, err := New(Options{Instance: e.instance, UID: uid, Log: e.log})
		if err != nil {
			t.Fatal(err)
		}
		defer twin.Close()
		_, err = twin.EnsureNetwork(t.Context(), netip.Prefix{})
		if !errors.Is(err, container.ErrConflict) || !strings.Contains(err.Error(), "belongs to another instance") {
			t.Errorf("EnsureNetwork of a twin = %v, want a conflict", err)
		}
		if err := twin.Purge(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := e.findNetwork(t.Context()); err != nil {
		t.Errorf("after the twin's purge: %v", err)
	}
}

func TestNetworkRemoved(t *testing.T) {
	t.Parallel()
	e := newEngineApart(t)
	s := spec(t, e, "serve")
	id, err := e.Create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.api.NetworkRemove(t.Context(), e.networkName()); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	answer(t, e, s.Network.Address.String())
}

// Many instances at once must all get a network of their own.
func TestNetworksAtOnce(t *testing.T) {
	t.Parallel()
	const count = 8
	got := make(chan netip.Prefix, count)
	for i := range count {
		e := newInstance(t, fmt.Sprintf("test-%d-once-%d", os.Getpid(), i), "uid")
		go func() {
			subnet, err := e.EnsureNetwork(context.Background(), netip.MustParsePrefix("10.223.240.0/20"))
			if err != nil {
				t.Error(err)
			}
			got <- subnet
		}()
	}
	seen := map[netip.Prefix]bool{}
	for range count {
		seen[<-got] = true
	}
	if len(seen) != count {
		t.Errorf("%d instances have %d subnets: %v", count, len(seen), seen)
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	want := netip.MustParsePrefix("10.9.0.0/20")
	all := candidates("a", netip.Prefix{}, nil)
	if len(all) != 256 {
		t.Fatalf("%d candidates, want 256", len(all))
	}
	seen := map[netip.Prefix]bool{}
	for _, p := range all {
		if seen[p] || p.Bits() != 20 || !region.Contains(p.Addr()) || p != p.Masked() {
			t.Errorf("candidate %s", p)
		}
		seen[p] = true
	}
	for _, c := range []struct {
		name  string
		want  netip.Prefix
		taken []netip.Prefix
		first netip.Prefix
		count int
	}{
		{"nothing wanted", netip.Prefix{}, nil, all[0], 256},
		{"wanted", want, nil, want, 257},
		{"wanted of the region", all[7], nil, all[7], 256},
		{"wanted is taken", want, []netip.Prefix{want}, all[0], 256},
		{"part of it is taken", want, []netip.Prefix{netip.MustParsePrefix("10.9.3.0/24")}, all[0], 256},
		{"first is taken", netip.Prefix{}, all[:1], all[1], 255},
	} {
		got := candidates("a", c.want, c.taken)
		if len(got) != c.count || got[0] != c.first {
			t.Errorf("%s: %d candidates from %s, want %d from %s", c.name, len(got), got[0], c.count, c.first)
		}
	}
	if candidates("b", netip.Prefix{}, nil)[0] == all[0] {
		t.Error("two instances begin at the same subnet")
	}
	if got := candidates("a", netip.Prefix{}, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}); len(got) != 0 {
		t.Errorf("candidates where a VPN has all of 10/8: %v", got)
	}
}

func TestRoute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ line, want string }{
		{"docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0", "172.17.0.0/16"},
		{"tun0\t0000D00A\t00000000\t0001\t0\t0\t0\t0000F0FF\t0\t0\t0", "10.208.0.0/12"},
		{"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0", ""},
		{"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT", ""},
		{"", ""},
	} {
		p, ok := route(c.line)
		if ok != (c.want != "") || ok && p.String() != c.want {
			t.Errorf("route(%q) = %v, %v, want %q", c.line, p, ok, c.want)
		}
	}
}

// TestLostNetwork: a running container that is taken off its network is told of,
// seen to be without, and gets the same address back.
func TestLostNetwork(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	events := e.Events(t.Context())
	s := spec(t, e, "serve")
	id := start(t, e, s)
	answer(t, e, s.Network.Address.String())
	if err := e.api.NetworkDisconnect(t.Context(), e.networkName(), engineID(id), true); err != nil {
		t.Fatal(err)
	}
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	for told := false; !told; {
		select {
		case got := <-events:
			told = got.ContainerID == id && got.Action == "disconnect" && got.Name == s.Name && got.Pod == s.Pod
		case <-limit.C:
			t.Fatal("nobody told")
		}
	}
	if got, err := e.Inspect(t.Context(), id); err != nil || !got.Detached {
		t.Errorf("without its network it is %+v, %v", got, err)
	}
	for _, somebody := range []string{"does nothing", "connects it", "is content"} {
		if somebody == "connects it" { // without saying at which address
			if err := errors.Join(e.api.NetworkDisconnect(t.Context(), e.networkName(), engineID(id), true),
				e.api.NetworkConnect(t.Context(), e.networkName(), engineID(id), nil)); err != nil {
				t.Fatal(err)
			}
			if got, err := e.Inspect(t.Context(), id); err != nil || !got.Detached {
				t.Errorf("at another address it is %+v, %v", got, err)
			}
		}
		if err := e.Reconnect(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	answer(t, e, s.Network.Address.String())
	if got, err := e.Inspect(t.Context(), id); err != nil || got.Detached {
		t.Errorf("with its network again it is %+v, %v", got, err)
	}
}
