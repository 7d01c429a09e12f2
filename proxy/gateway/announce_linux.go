package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Announce makes all addresses of a range this machine's own, by one route: the
// kernel then answers for them on the network, and what nobody listens to is
// refused at once. It needs NET_ADMIN.
func Announce(services netip.Prefix) error {
	if err := addLocalRoute(services); err != nil {
		return fmt.Errorf("make %s the gateway's own addresses: %w", services, err)
	}
	return nil
}

// addLocalRoute is "ip route add local PREFIX dev lo".
func addLocalRoute(p netip.Prefix) error {
	const loopback = 1 // the interface's number, in every namespace
	route := unix.RtMsg{
		Family: unix.AF_INET, Dst_len: uint8(p.Bits()), Table: unix.RT_TABLE_LOCAL,
		Protocol: unix.RTPROT_BOOT, Scope: unix.RT_SCOPE_HOST, Type: unix.RTN_LOCAL,
	}
	body := []byte{
		route.Family, route.Dst_len, route.Src_len, route.Tos,
		route.Table, route.Protocol, route.Scope, route.Type, 0, 0, 0, 0,
	}
	address := p.Masked().Addr().As4()
	body = attribute(body, unix.RTA_DST, address[:])
	body = attribute(body, unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, loopback))
	return netlink(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, body)
}

func attribute(to []byte, kind uint16, value []byte) []byte {
	to = binary.NativeEndian.AppendUint16(to, uint16(unix.SizeofRtAttr+len(value)))
	return append(binary.NativeEndian.AppendUint16(to, kind), value...)
}

// netlink sends the kernel one message and waits for what it says to it.
func netlink(kind, flags uint16, body []byte) (err error) {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(socket)) }()
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)
	m = binary.NativeEndian.AppendUint32(m, 1) // the message's number
	m = binary.NativeEndian.AppendUint32(m, 0) // from a process that the kernel finds out
	if err := unix.Sendto(socket, append(m, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, unix.Getpagesize())
	n, _, err := unix.Recvfrom(socket, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return errors.New("the kernel's answer is none")
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return syscall.Errno(-code)
	}
	return nil
}
