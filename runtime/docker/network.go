package docker

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"math/bits"
	"net"
	"net/netip"
	"os"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"

	"skiff/runtime/container"
)

// Subnets are taken from 10.208.0.0/12, which neither the engine's default
// pools (172.16.0.0/12, 192.168.0.0/16) nor home routers, Kubernetes'
// distributions (10.42, 10.43, 10.96, 10.244), Podman (10.88) or Tailscale
// (100.64) use. A /20 gives 2046 Pods and leaves room for 256 instances.
var (
	region     = netip.MustParsePrefix("10.208.0.0/12")
	subnetBits = 20
)

func (e *Engine) networkName() string { return "skiff-" + e.instance }

// Subnet is what EnsureNetwork answered last.
func (e *Engine) Subnet() netip.Prefix {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.subnet
}

// EnsureNetwork finds or makes the instance's network and answers its subnet.
// A new one gets the wanted subnet if that is free, else one which is.
func (e *Engine) EnsureNetwork(ctx context.Context, want netip.Prefix) (netip.Prefix, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	e.mu.Lock()
	defer e.mu.Unlock()
	subnet, err := e.findNetwork(ctx)
	if errors.Is(err, container.ErrNotFound) {
		subnet, err = e.makeNetwork(ctx, want)
	}
	if err != nil {
		return netip.Prefix{}, err
	}
	e.subnet = subnet
	return subnet, nil
}

// restoreNetwork makes the network again if it is gone, and says whether it
// was. Only the same subnet will do: the Pods have their addresses.
func (e *Engine) restoreNetwork(ctx context.Context) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.subnet.IsValid() {
		return false, nil
	}
	if _, err := e.findNetwork(ctx); !errors.Is(err, container.ErrNotFound) {
		return false, err
	}
	e.log.Warn("the instance's network was removed; making it again", "network", e.networkName(), "subnet", e.subnet)
	if err := e.createNetwork(ctx, e.subnet); err != nil {
		return false, failure("make network "+e.networkName()+" again", err)
	}
	return true, nil
}

func (e *Engine) findNetwork(ctx context.Context) (netip.Prefix, error) {
	n, err := e.api.NetworkInspect(ctx, e.networkName(), network.InspectOptions{})
	if err != nil {
		return netip.Prefix{}, failure("inspect network "+e.networkName(), err)
	}
	if !e.owns(n.Labels) {
		return netip.Prefix{}, fmt.Errorf("use network %s: it belongs to another instance of skiff on this engine: choose another name, or remove the network if that instance is no more: %w",
			e.networkName(), container.ErrConflict)
	}
	for _, c := range n.IPAM.Config {
		if p, err := netip.ParsePrefix(c.Subnet); err == nil && p.Addr().Is4() {
			return p.Masked(), nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("use network %s: it has no IPv4 subnet", e.networkName())
}

// makeNetwork tries one subnet after the other. What is known to be in use is
// left out beforehand; the engine has the last word.
func (e *Engine) makeNetwork(ctx context.Context, want netip.Prefix) (netip.Prefix, error) {
	taken, err := e.takenSubnets(ctx)
	if err != nil {
		return netip.Prefix{}, err
	}
	for _, subnet := range candidates(e.instance, want, taken) {
		err := e.createNetwork(ctx, subnet)
		switch {
		case err == nil:
			return subnet, nil
		case cerrdefs.IsConflict(err):
			// The name was taken since we looked: by another process of the
			// same instance, or by one that must not share it.
			return e.findNetwork(ctx)
		case !cerrdefs.IsPermissionDenied(err):
			return netip.Prefix{}, failure("create network "+e.networkName(), err)
		}
		// "Pool overlaps": the engine answers that with 403.
	}
	return netip.Prefix{}, fmt.Errorf("create network %s: every subnet of %s is in use", e.networkName(), region)
}

func (e *Engine) createNetwork(ctx context.Context, subnet netip.Prefix) error {
	ranges, err := container.Split(subnet)
	if err != nil {
		return err
	}
	_, err = e.api.NetworkCreate(ctx, e.networkName(), network.CreateOptions{
		Driver: "bridge",
		Labels: e.labels(),
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{
			Subnet:  subnet.String(),
			IPRange: ranges.Engine.String(),
			Gateway: subnet.Addr().Next().String(),
		}}},
	})
	return err
}

// takenSubnets are those of the engine's networks and those that this machine
// has routes to.
func (e *Engine) takenSubnets(ctx context.Context) ([]netip.Prefix, error) {
	networks, err := e.api.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return nil, failure("list networks", err)
	}
	taken := hostRoutes()
	for _, n := range networks {
		for _, c := range n.IPAM.Config {
			if p, err := netip.ParsePrefix(c.Subnet); err == nil {
				taken = append(taken, p)
			}
		}
	}
	return taken, nil
}

// candidates orders the subnets to try: the wanted one, then from a place that
// depends on the instance's name round the region, so that an instance gets
// the same one again and instances made side by side do not compete.
func candidates(instance string, want netip.Prefix, taken []netip.Prefix) []netip.Prefix {
	free := func(p netip.Prefix) bool {
		for _, t := range taken {
			if t.Overlaps(p) {
				return false
			}
		}
		return true
	}
	var out []netip.Prefix
	if want.IsValid() && free(want) {
		out = append(out, want.Masked())
	}
	h := fnv.New32a()
	h.Write([]byte(instance))
	first := binary.BigEndian.Uint32(region.Addr().AsSlice())
	count := uint32(1) << (subnetBits - region.Bits())
	for i := range count {
		n := first + (h.Sum32()+i)%count<<(32-subnetBits)
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n))), subnetBits)
		if p != want && free(p) {
			out = append(out, p)
		}
	}
	return out
}

// hostRoutes are the networks that this machine reaches directly or through a
// VPN. It is best effort: without it the engine's own check remains.
func hostRoutes() []netip.Prefix {
	var out []netip.Prefix
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			out = append(out, p.Masked())
		}
	}
	table, err := os.Open("/proc/net/route")
	if err != nil {
		return out
	}
	defer table.Close()
	for lines := bufio.NewScanner(table); lines.Scan(); {
		if p, ok := route(lines.Text()); ok {
			out = append(out, p)
		}
	}
	return out
}

// route reads a line of the kernel's table: the second column is the network
// and the eighth its mask, both in the machine's byte order. The default route
// covers everything and says nothing.
func route(line string) (netip.Prefix, bool) {
	fields := strings.Fields(line)
	if len(fields) < 8 {
		return netip.Prefix{}, false
	}
	destination, err1 := hex.DecodeString(fields[1])
	mask, err2 := hex.DecodeString(fields[7])
	if err1 != nil || err2 != nil || len(destination) != 4 || len(mask) != 4 {
		return netip.Prefix{}, false
	}
	ones := bits.OnesCount32(binary.LittleEndian.Uint32(mask))
	if ones == 0 {
		return netip.Prefix{}, false
	}
	address := netip.AddrFrom4([4]byte(binary.LittleEndian.AppendUint32(nil, binary.BigEndian.Uint32(destination))))
	return netip.PrefixFrom(address, ones).Masked(), true
}
