package container

import (
	"fmt"
	"net/netip"
)

// Ranges are the three parts of an instance's subnet. Each has one owner, so
// that no two of them ever hand out the same address.
type Ranges struct {
	Engine   netip.Prefix // the bridge, and containers that ask for no address
	Gateway  netip.Addr   // of Engine: skiff's own, which serves Services and DNS
	Services netip.Prefix // ClusterIPs
	Pods     netip.Prefix // handed out by skiff, asked of the engine
}

// Split divides a subnet: a quarter for the engine, a quarter for Services and
// half for Pods, which come and go in pairs while a rollout goes on.
func Split(subnet netip.Prefix) (Ranges, error) {
	subnet = subnet.Masked()
	if !subnet.IsValid() || !subnet.Addr().Is4() || subnet.Bits() > 28 {
		return Ranges{}, fmt.Errorf("split subnet %s: an IPv4 subnet of 16 addresses or more is needed", subnet)
	}
	base, size := subnet.Addr().As4(), uint32(1)<<(32-subnet.Bits())
	start := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3])
	part := func(offset uint32, bits int) netip.Prefix {
		n := start + offset
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), bits)
	}
	return Ranges{
		Engine:   part(0, subnet.Bits()+2),
		Gateway:  part(size/4-2, 32).Addr(), // the engine hands out from the other end
		Services: part(size/4, subnet.Bits()+2),
		Pods:     part(size/2, subnet.Bits()+1),
	}, nil
}
