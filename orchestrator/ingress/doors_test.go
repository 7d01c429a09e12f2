package ingress

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"skiff/proxy"
	"skiff/proxy/switchboard"
)

// A port that is not free is told of, with the one that took its place; and a
// Service has its own port before the door does.
func TestPorts(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	w := newWorld(t, Ports{HTTP: port})
	w.service("default", "web", proxy.HTTP)
	w.ingress(shop)
	w.says("shop.test", "/", "200 default/web /")
	first := w.port(HTTPPortAnnotation)
	w.told("OtherPort", fmt.Sprintf("http is served on port %s instead of %d: it is in use by another program", first, port))
	if conn, err := net.Dial("tcp", net.JoinHostPort("::1", first)); err == nil {
		if got := exchange(conn, "shop.test", "/"); got != "200 default/web /" {
			t.Errorf("at [::1]: %s", got)
		}
		conn.Close()
	}

	failed := w.board.Set(t.Context(), switchboard.Service{Name: "default/greedy", Ports: []switchboard.Port{{
		Name: "80/TCP", Mode: proxy.TCP, Addresses: []string{"127.0.0.1:" + first},
	}}})
	if len(failed) > 0 {
		t.Errorf("a Service did not get its port: %v", failed)
	}
	w.eventually("the door moves", func() (string, bool) {
		now := w.port(HTTPPortAnnotation)
		return now, now != first && now != ""
	})
	w.says("shop.test", "/", "200 default/web /")
}

// Who has the port is named where skiff itself gave it away, and whatever was
// there first.
func TestPortOfSkiffsOwn(t *testing.T) {
	t.Parallel()
	for holder, called := range map[string]string{"default/greedy": "service default/greedy", "pod default/greedy": "pod default/greedy"} {
		for _, before := range []bool{true, false} {
			port, err := freePort(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, Ports{HTTP: port})
			take := func() {
				w.board.Set(t.Context(), switchboard.Service{Name: holder, Ports: []switchboard.Port{{
					Name: "80/TCP", Mode: proxy.TCP, Addresses: []string{fmt.Sprintf("127.0.0.1:%d", port)},
				}}})
			}
			if before {
				take()
			}
			w.service("default", "web", proxy.HTTP)
			w.ingress(shop)
			w.says("shop.test", "/", "200 default/web /")
			if !before {
				take()
			}
			w.told("OtherPort", fmt.Sprintf("instead of %d: it is in use by %s", port, called))
			w.board.Set(t.Context(), switchboard.Service{Name: holder})
			w.eventually("the door is back", func() (string, bool) {
				now := w.port(HTTPPortAnnotation)
				return now, now == fmt.Sprint(port)
			})
			w.says("shop.test", "/", "200 default/web /")
		}
	}
}

// keeper is a system that keeps one port from this user.
type keeper struct {
	*proxy.Proxy
	port int
}

func (k keeper) Listen(ctx context.Context, what proxy.Listener) error {
	if strings.HasSuffix(what.Address, fmt.Sprintf(":%d", k.port)) {
		return &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}
	}
	return k.Proxy.Listen(ctx, what)
}

// Where the user may not have a port, the door is at one that is as easy to
// remember, and what allows the other is said.
func TestPortNotAllowed(t *testing.T) {
	t.Parallel()
	forbidden := 0
	for port := 1; port < privileged && forbidden == 0; port++ {
		if l, err := net.Listen("tcp", fmt.Sprintf(":%d", port+unbound)); err == nil {
			l.Close()
			forbidden = port
		}
	}
	w := newWorldOver(t, func(p *proxy.Proxy) switchboard.Proxy { return keeper{p, forbidden} }, Ports{HTTP: forbidden})
	w.service("default", "web", proxy.HTTP)
	w.says("web.localhost", "/", "200 default/web /")
	if got := w.port(HTTPPortAnnotation); got != fmt.Sprint(forbidden+unbound) {
		t.Errorf("instead of %d the door is at %s", forbidden, got)
	}
	w.ingress(shop)
	w.told("OtherPort", fmt.Sprintf(`http is served on port %d instead of %d: the system does not let this user listen there; "sudo sysctl`, forbidden+unbound, forbidden))
}

// A door that is open already stays where it is, be that not where it should be.
func TestOpenDoor(t *testing.T) {
	t.Parallel()
	d := door{wanted: 80, before: 8123}
	if got := d.candidates(); !slices.Equal(got, []int{8123, 80, 8080, 0}) {
		t.Errorf("candidates %v", got)
	}
	d = door{wanted: 8080}
	if got := d.candidates(); !slices.Equal(got, []int{8080, 0}) {
		t.Errorf("candidates of a door that is opened afresh: %v", got)
	}
}
