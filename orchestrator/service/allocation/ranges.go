package allocation

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// The node ports of every Kubernetes that is not told otherwise.
const (
	MinNodePort int32 = 30000
	MaxNodePort int32 = 32767
)

// Ranges is what an instance's Services choose from. Node ports are always
// MinNodePort to MaxNodePort.
type Ranges struct {
	// ClusterIPs is an IPv4 range. Its first address is the API's own Service's.
	ClusterIPs netip.Prefix
	// Taken says whether a program of the machine has a node port, which then is
	// not chosen. Nil: none has any.
	Taken func(port int32) bool
}

// APIServiceIP is the address of the Service default/kubernetes.
func (r Ranges) APIServiceIP() netip.Addr {
	return r.ClusterIPs.Masked().Addr().Next()
}

// staticBand is how many addresses at the start of the range are given out last,
// so that addresses which users write down seldom collide with chosen ones. The
// formula is upstream's.
func staticBand(size uint32) uint32 {
	if size < 16 {
		return 0
	}
	return min(max(16, size/16), 256)
}

// freeAddress picks an unused address; random(n) is a number below n.
func (r Ranges) freeAddress(used map[string]bool, random func(uint32) uint32) (netip.Addr, error) {
	first, size := r.usable()
	band := staticBand(size)
	if addr, ok := pick(first+band, size-band, used, random); ok {
		return addr, nil
	}
	// The range's first address is kept for default/kubernetes.
	if band > 1 {
		if addr, ok := pick(first+1, band-1, used, random); ok {
			return addr, nil
		}
	}
	return netip.Addr{}, errRangeFull
}

// pick starts at a random address of the n from first and goes on to the next
// until one is free, so that a nearly full range still ends after n steps.
func pick(first, n uint32, used map[string]bool, random func(uint32) uint32) (netip.Addr, bool) {
	if n == 0 {
		return netip.Addr{}, false
	}
	start := random(n)
	for i := range n {
		addr := toAddr(first + (start+i)%n)
		if !used[addr.String()] {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// usable is the range without its network and broadcast addresses.
func (r Ranges) usable() (first, size uint32) {
	bits := r.ClusterIPs.Bits()
	if !r.ClusterIPs.Addr().Is4() || bits < 8 || bits > 30 {
		return 0, 0
	}
	base := r.ClusterIPs.Masked().Addr().As4()
	return binary.BigEndian.Uint32(base[:]) + 1, uint32(1)<<(32-bits) - 2
}

func toAddr(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

func (r Ranges) checkAddress(ip string, used map[string]bool) error {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return err
	}
	first, size := r.usable()
	if !addr.Is4() {
		return errNotIPv4
	}
	b := addr.As4()
	if n := binary.BigEndian.Uint32(b[:]); n < first || n-first >= size {
		return fmt.Errorf("the provided IP (%v) is not in the valid range. The range of valid IPs is %s", ip, r.ClusterIPs.Masked())
	}
	if used[addr.String()] {
		return errAddressAllocated
	}
	return nil
}

func (r Ranges) checkPort(port int32, used map[int32]bool) error {
	if port < MinNodePort || port > MaxNodePort {
		return fmt.Errorf("provided port is not in the valid range. The range of valid ports is %d-%d", MinNodePort, MaxNodePort)
	}
	if used[port] {
		return errPortAllocated
	}
	return nil
}

func (r Ranges) freePort(used map[int32]bool, random func(uint32) uint32) (int32, error) {
	n := uint32(MaxNodePort - MinNodePort + 1)
	start := random(n)
	for i := range n {
		port := MinNodePort + int32((start+i)%n)
		if !used[port] && (r.Taken == nil || !r.Taken(port)) {
			return port, nil
		}
	}
	return 0, errRangeFull
}
