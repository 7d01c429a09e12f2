package ingress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"skiff/orchestrator/traffic"
	"skiff/proxy"
	"skiff/proxy/switchboard"
)

// door is a port that all hosts share, on both loopback addresses.
type door struct {
	name     string // its scheme
	wanted   int    // 0: any that is free
	before   int    // 0, or where it is open already
	board    Board
	listener proxy.Listener // without its address

	port      int // 0: it is closed
	addresses []string
	instead   string // what there is to say of another port than the wanted one
	yields    bool   // a Service had the wanted port
}

var loopback = []string{"127.0.0.1", "::1"}

// privileged ports are below; a user's own are these many above.
const (
	privileged = 1024
	unbound    = 8000
)

// set opens or closes a door. One that has lost an address to a Service opens
// at another port until that is given up.
func (d *door) set(ctx context.Context, open bool) error {
	for _, address := range d.addresses {
		if !open || !d.board.Shares(address) {
			d.close()
			break
		}
	}
	if open && d.port != 0 && d.yields {
		d.comeBack(ctx)
	}
	if !open || d.port != 0 {
		return nil
	}
	var first error
	for _, port := range d.candidates() {
		err := d.listen(ctx, port)
		if err == nil {
			d.instead, d.yields = "", false
			if first != nil {
				d.instead = d.excuse(first)
				d.yields = d.wanted > 0 && errors.As(first, new(*switchboard.HeldError))
			}
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return fmt.Errorf("open a port for %s: %w", d.name, first)
}

// comeBack opens the door at the wanted port, once the Service has given it up.
func (d *door) comeBack(ctx context.Context) {
	elsewhere := *d
	d.port, d.addresses = 0, nil
	if d.listen(ctx, d.wanted) != nil {
		*d = elsewhere
		return
	}
	d.instead, d.yields = "", false
	elsewhere.close()
}

// candidates are the ports to try one after the other.
func (d *door) candidates() []int {
	var ports []int
	if d.before > 0 {
		ports = append(ports, d.before)
	}
	if d.wanted > 0 {
		ports = append(ports, d.wanted)
		if d.wanted < privileged {
			ports = append(ports, d.wanted+unbound)
		}
	}
	return append(ports, 0)
}

func (d *door) close() {
	for _, address := range d.addresses {
		d.board.Unshare(address)
	}
	d.port, d.addresses = 0, nil
}

// freeTries is how often a port that was free may be taken meanwhile.
const freeTries = 10

func (d *door) listen(ctx context.Context, port int) error {
	if port > 0 {
		return d.listenAt(ctx, port)
	}
	var err error
	for range freeTries {
		if port, err = freePort(ctx); err != nil {
			return err
		}
		if err = d.listenAt(ctx, port); err == nil {
			return nil
		}
	}
	return err
}

func (d *door) listenAt(ctx context.Context, port int) error {
	for _, ip := range loopback {
		l := d.listener
		l.Address = net.JoinHostPort(ip, strconv.Itoa(port))
		err := d.board.Share(ctx, l)
		switch {
		case err == nil:
			d.addresses = append(d.addresses, l.Address)
		case len(d.addresses) > 0 && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)):
			// There is no IPv6 here.
		default:
			d.close()
			return err
		}
	}
	d.port = port
	return nil
}

// urls are those of hosts that have one each.
func (d *door) urls(hosts map[string]string) map[string]string {
	urls := map[string]string{}
	if d.port == 0 {
		return urls
	}
	for of, host := range hosts {
		urls[of] = traffic.URL(d.name, host, int32(d.port))
	}
	return urls
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(loopback[0], "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// excuse says why the door is at another port than the wanted one, and what to
// do.
func (d *door) excuse(err error) string {
	var held *switchboard.HeldError
	why := err.Error()
	switch {
	case errors.As(err, &held):
		why = "it is in use by " + traffic.Holder(held)
	case errors.Is(err, syscall.EADDRINUSE):
		why = "it is in use by another program"
	case errors.Is(err, syscall.EACCES):
		why = "the system does not let this user listen there; \"sudo sysctl net.ipv4.ip_unprivileged_port_start=80\", or " +
			"\"sudo setcap cap_net_bind_service=+ep\" on the skiff program, allows it from skiff's next start on"
	}
	return fmt.Sprintf("%s is served on port %d instead of %d: %s", d.name, d.port, d.wanted, why)
}
