package proxy

import (
	"io"
	"net"
	"testing"
)

// A port is taken while anybody listens to it, at any of the addresses, by
// either protocol.
func TestTaken(t *testing.T) {
	t.Parallel()
	addresses, _ := Loopbacks(t.Context())
	check := func(held io.Closer, at net.Addr, port int, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		if !Taken(t.Context(), addresses, int32(port)) {
			t.Errorf("%s %s is held and not taken", at.Network(), at)
		}
	}
	for _, address := range addresses {
		stream, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(address)})
		check(stream, stream.Addr(), stream.Addr().(*net.TCPAddr).Port, err)
		packets, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(address)})
		check(packets, packets.LocalAddr(), packets.LocalAddr().(*net.UDPAddr).Port, err)
	}
	for port := int32(20000); Taken(t.Context(), addresses, port); port++ {
		if port == 30000 {
			t.Fatal("no port is free")
		}
	}
}
