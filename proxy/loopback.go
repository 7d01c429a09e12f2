package proxy

import (
	"context"
	"net"
)

// Loopbacks are the addresses at which only this machine reaches itself: that of
// IPv4 and, where there is one, that of IPv6. An error says why there is none.
func Loopbacks(ctx context.Context) (addresses []string, noIPv6 error) {
	const v4, v6 = "127.0.0.1", "::1"
	l, err := listenConfig.Listen(ctx, "tcp", net.JoinHostPort(v6, "0"))
	if err != nil {
		return []string{v4}, err
	}
	return []string{v4, v6}, l.Close()
}
