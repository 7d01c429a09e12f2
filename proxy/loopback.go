package proxy

import (
	"context"
	"net"
	"strconv"
)

// Loopbacks are the addresses at which only this machine reaches itself: that of
// IPv4 and, where there is one, that of IPv6. An error says why there is none.
func Loopbacks(ctx context.Context) (addresses []string, noIPv6 error) {
	const v4, v6 = "127.0.0.1", "::1"
	l, err := listenConfig().Listen(ctx, "tcp", net.JoinHostPort(v6, "0"))
	if err != nil {
		return []string{v4}, err
	}
	return []string{v4, v6}, l.Close()
}

// Taken says whether a port cannot be listened to at one of these addresses,
// by TCP or by UDP. Nothing keeps it free afterwards.
func Taken(ctx context.Context, addresses []string, port int32) bool {
	for _, address := range addresses {
		at := net.JoinHostPort(address, strconv.Itoa(int(port)))
		stream, err := listenConfig().Listen(ctx, "tcp", at)
		if err != nil {
			return true
		}
		stream.Close()
		packets, err := new(net.ListenConfig).ListenPacket(ctx, "udp", at)
		if err != nil {
			return true
		}
		packets.Close()
	}
	return false
}
