package dns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

var network = netip.MustParsePrefix("10.0.0.0/20")

// resolver asks a server that has these records; transport is all it asks over.
func resolver(t *testing.T, transport string, upstream []string, records ...Record) *net.Resolver {
	t.Helper()
	z := NewZone("cluster.local", network)
	z.Set("test", records)
	address := serve(t, New(Options{Zone: z, Upstream: upstream, Log: slog.New(slog.DiscardHandler)}))
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, n, _ string) (net.Conn, error) {
		var d net.Dialer
		if transport == "tcp" {
			n = transport
		}
		return d.DialContext(ctx, n, address)
	}}
}

// nobody listens there.
const nobody = "127.0.0.1:1"

// serve has a server answer until the test ends, and says where.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	packets, streams := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		s.serve(ctx, packets, streams)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return streams.Addr().String()
}

// open gives sockets for both transports at one address.
func open(t *testing.T) (*net.UDPConn, net.Listener) {
	t.Helper()
	for range 100 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if streams, err := net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			return packets.(*net.UDPConn), streams
		}
		packets.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

func TestRecords(t *testing.T) {
	t.Parallel()
	many := []Record{}
	for i := range 200 {
		many = append(many, Record{Name: "many.default.svc.cluster.local", Type: A, Value: fmt.Sprintf("10.1.2.%d", i)})
	}
	r := resolver(t, "", nil, append(many,
		Record{Name: "web.default.svc.cluster.local", Type: A, TTL: 5, Value: "10.0.0.7"},
		Record{Name: "_http._tcp.web.default.svc.cluster.local", Type: SRV, Value: "web.default.svc.cluster.local", Port: 80},
		Record{Name: "7.0.0.10.in-addr.arpa", Type: PTR, Value: "web.default.svc.cluster.local"},
		Record{Name: "alias.default.svc.cluster.local", Type: CNAME, Value: "web.default.svc.cluster.local"})...)
	ctx := t.Context()
	lookup := func(name string, want ...string) {
		t.Helper()
		got, err := r.LookupHost(ctx, name)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
	lookup("web.default.svc.cluster.local.", "10.0.0.7")
	lookup("WEB.Default.svc.cluster.local.", "10.0.0.7")
	lookup("alias.default.svc.cluster.local.", "10.0.0.7")
	if got, err := r.LookupHost(ctx, "many.default.svc.cluster.local."); len(got) != 200 { // too many for UDP
		t.Errorf("many addresses: %d, %v", len(got), err)
	}
	if _, srv, err := r.LookupSRV(ctx, "http", "tcp", "web.default.svc.cluster.local."); err != nil || srv[0].Port != 80 || srv[0].Target != "web.default.svc.cluster.local." {
		t.Errorf("SRV: %v, %v", srv, err)
	}
	if names, err := r.LookupAddr(ctx, "10.0.0.7"); err != nil || !slices.Equal(names, []string{"web.default.svc.cluster.local."}) {
		t.Errorf("PTR: %v, %v", names, err)
	}
	if name, err := r.LookupCNAME(ctx, "alias.default.svc.cluster.local."); err != nil || name != "web.default.svc.cluster.local." {
		t.Errorf("CNAME: %v, %v", name, err)
	}
	var missing *net.DNSError
	for _, name := range []string{"none.default.svc.cluster.local.", "default.svc.cluster.local.", "svc.cluster.local."} {
		_, err := r.LookupHost(ctx, name)
		if missing, _ = err.(*net.DNSError); missing == nil || !missing.IsNotFound {
			t.Errorf("%s: %v, want not found", name, err)
		}
	}
}

// What the zone does not own is asked of the machine's resolver, by whichever
// way it was asked here, and comes as that says it.
func TestForwarding(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			// The upstream is another server, whose zone is the rest of the world.
			world := NewZone("example.org", netip.Prefix{})
			world.Set("world", []Record{{Name: "www.example.org", Type: A, Value: "192.0.2.7"}})
			upstream := serve(t, New(Options{Zone: world, Log: slog.New(slog.DiscardHandler)}))
			silent, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			r := resolver(t, transport, []string{upstream},
				Record{Name: "out.default.svc.cluster.local", Type: CNAME, Value: "www.example.org"})
			for _, name := range []string{"www.example.org.", "out.default.svc.cluster.local."} {
				got, err := r.LookupHost(t.Context(), name)
				if !slices.Equal(got, []string{"192.0.2.7"}) {
					t.Errorf("%s: %v, %v", name, got, err)
				}
			}
			if _, err := r.LookupHost(t.Context(), "none.example.org."); err == nil || !strings.Contains(err.Error(), "no such host") {
				t.Errorf("a name that nobody knows: %v", err)
			}
			alone := resolver(t, transport, []string{nobody})
			if _, err := alone.LookupHost(t.Context(), "www.example.org."); err == nil || strings.Contains(err.Error(), "no such host") {
				t.Errorf("without a resolver: %v, want a failure that is not the name's", err)
			}
		})
	}
}

// Aliases may lead to aliases, here and elsewhere, and end all the same.
func TestAliasesOfAliases(t *testing.T) {
	t.Parallel()
	const below = ".default.svc.cluster.local"
	r := resolver(t, "", nil,
		Record{Name: "web" + below, Type: A, Value: "10.0.0.7"},
		Record{Name: "alias" + below, Type: CNAME, Value: "web" + below},
		Record{Name: "again" + below, Type: CNAME, Value: "alias" + below},
		Record{Name: "nowhere" + below, Type: CNAME, Value: "none" + below},
		Record{Name: "round" + below, Type: CNAME, Value: "round" + below})
	if got, err := r.LookupHost(t.Context(), "again"+below+"."); !slices.Equal(got, []string{"10.0.0.7"}) {
		t.Errorf("an alias of an alias: %v, %v", got, err)
	}
	var missing *net.DNSError
	if _, err := r.LookupHost(t.Context(), "nowhere"+below+"."); !errors.As(err, &missing) || !missing.IsNotFound {
		t.Errorf("an alias of nothing: %v", err)
	}
	if _, err := r.LookupHost(t.Context(), "round"+below+"."); !errors.As(err, &missing) || missing.IsNotFound {
		t.Errorf("an alias of itself: %v", err)
	}
}

// Nobody else is asked for the names of Pods' addresses: Docker's resolver gives
// no answer where its container's name is longer than a name may be, and servers
// that look up who calls them would wait for it.
// Kubernetes' specification has names for Pods without a Service, and one for itself.
func TestNamesOfPodsByAddress(t *testing.T) {
	t.Parallel()
	r := resolver(t, "", nil)
	for name, want := range map[string][]string{
		"10-0-0-7.default.pod.cluster.local.":   {"10.0.0.7"},
		"10-0-15-9.Other.POD.cluster.local.":    {"10.0.15.9"},
		"10-0-16-9.default.pod.cluster.local.":  nil, // elsewhere
		"10-0-0.default.pod.cluster.local.":     nil,
		"web.default.pod.cluster.local.":        nil,
		"10-0-0-7.a.default.pod.cluster.local.": nil,
		"10-0-0-7.pod.cluster.local.":           nil,
		"10-0-0-7.default.svc.cluster.local.":   nil,
	} {
		got, err := r.LookupHost(t.Context(), name)
		var missing *net.DNSError
		if !slices.Equal(got, want) || want == nil && (!errors.As(err, &missing) || !missing.IsNotFound) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
	if version, err := r.LookupTXT(t.Context(), "dns-version.cluster.local."); err != nil || !slices.Equal(version, []string{"1.1.0"}) {
		t.Errorf("version %q, %v", version, err)
	}
}

func TestAddressesOfTheNetwork(t *testing.T) {
	t.Parallel()
	r := resolver(t, "", []string{nobody})
	var missing *net.DNSError
	if _, err := r.LookupAddr(t.Context(), "10.0.15.9"); !errors.As(err, &missing) || !missing.IsNotFound {
		t.Errorf("an address without a name: %v, want not found", err)
	}
	if _, err := r.LookupAddr(t.Context(), "10.0.16.9"); !errors.As(err, &missing) || missing.IsNotFound {
		t.Errorf("an address elsewhere: %v, want a failure that is not the name's", err)
	}
}

// Not every resolver speaks TCP; what does not fit is asked for over that.
func TestAliasElsewhere(t *testing.T) {
	t.Parallel()
	world := NewZone("example.org", netip.Prefix{})
	records := []Record{{Name: "www.example.org", Type: A, Value: "192.0.2.7"}}
	for i := range 200 {
		records = append(records, Record{Name: "many.example.org", Type: A, Value: fmt.Sprintf("192.0.2.%d", i)})
	}
	world.Set("world", records)
	packets, err := net.ListenPacket("udp", "127.53.0.1:0") // where nobody else may have the same port of TCP
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	s := New(Options{Zone: world, Log: slog.New(slog.DiscardHandler)})
	go s.serveUDP(t.Context(), packets.(*net.UDPConn))
	aliases := []Record{
		{Name: "one.default.svc.cluster.local", Type: CNAME, Value: "www.example.org"},
		{Name: "many.default.svc.cluster.local", Type: CNAME, Value: "many.example.org"},
	}
	r := resolver(t, "", []string{packets.LocalAddr().String()}, aliases...)
	if got, err := r.LookupHost(t.Context(), "one.default.svc.cluster.local."); !slices.Equal(got, []string{"192.0.2.7"}) {
		t.Errorf("over UDP alone: %v, %v", got, err)
	}
	if got, err := r.LookupHost(t.Context(), "many.default.svc.cluster.local."); len(got) < 25 {
		t.Errorf("as much as fits: %v, %v", got, err)
	}
	streams, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	go s.serveTCP(t.Context(), streams)
	defer streams.Close()
	if got, err := r.LookupHost(t.Context(), "many.default.svc.cluster.local."); len(got) != 200 {
		t.Errorf("over TCP: %d, %v", len(got), err)
	}
}

// Denials and leaving Pods must not be remembered, and answers fit.
func TestWire(t *testing.T) {
	t.Parallel()
	z := NewZone("cluster.local", network)
	z.Set("a", []Record{{Name: "web.default.svc.cluster.local", Type: A, TTL: 5, Value: "10.0.0.7"}})
	s := New(Options{Zone: z, Log: slog.New(slog.DiscardHandler)})
	ask := func(name string, kind dnsmessage.Type) dnsmessage.Message {
		t.Helper()
		m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true},
			Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}}
		raw, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		q, err := parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		var answer dnsmessage.Message
		if err := answer.Unpack(s.pack(q, s.answer(t.Context(), q), q.size)); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	for name, want := range map[string]dnsmessage.RCode{
		"web.default.svc.cluster.local.": dnsmessage.RCodeSuccess, "none.default.svc.cluster.local.": dnsmessage.RCodeNameError,
	} {
		m := ask(name, dnsmessage.TypeAAAA)
		soa, ok := m.Authorities[0].Body.(*dnsmessage.SOAResource)
		if m.RCode != want || !m.Authoritative || !ok || soa.MinTTL > 5 || m.ID != 7 {
			t.Errorf("%s AAAA: %v %v", name, m.Header, m.Authorities)
		}
	}
	var all []Record
	for i := range 200 {
		all = append(all, Record{Name: "many.default.svc.cluster.local", Type: A, Value: fmt.Sprintf("10.1.2.%d", i)})
	}
	z.Set("many", all)
	// A name takes 2 bytes after its first time, an address 14 with all that goes with it.
	if m := ask("many.default.svc.cluster.local.", dnsmessage.TypeA); !m.Truncated || len(m.Answers) < 25 || len(m.Answers) > 30 {
		t.Errorf("an answer that does not fit: %v, %d answers", m.Header, len(m.Answers))
	}
	z.Set("a", nil)
	if m := ask("web.default.svc.cluster.local.", dnsmessage.TypeA); m.RCode != dnsmessage.RCodeNameError {
		t.Errorf("a Service that is gone: %v", m.Header)
	}
}

// What cannot be asked here is refused, whoever's name it is about, and asked of
// nobody else.
func TestRefused(t *testing.T) {
	t.Parallel()
	z := NewZone("cluster.local", network)
	z.Set("a", []Record{{Name: "web.default.svc.cluster.local", Type: A, TTL: 5, Value: "10.0.0.7"}})
	s := New(Options{Zone: z, Upstream: []string{nobody}, Log: slog.New(slog.DiscardHandler)})
	const update = 5
	for _, test := range []struct {
		name  string
		op    dnsmessage.OpCode
		class dnsmessage.Class
		want  dnsmessage.RCode
	}{
		{"web.default.svc.cluster.local.", 0, dnsmessage.ClassINET, dnsmessage.RCodeSuccess},
		{"web.default.svc.cluster.local.", 0, dnsmessage.ClassANY, dnsmessage.RCodeSuccess},
		{"web.default.svc.cluster.local.", 0, dnsmessage.ClassCHAOS, dnsmessage.RCodeRefused},
		{"web.default.svc.cluster.local.", update, dnsmessage.ClassINET, dnsmessage.RCodeNotImplemented},
		{"version.bind.", 0, dnsmessage.ClassCHAOS, dnsmessage.RCodeRefused},
		{"example.org.", update, dnsmessage.ClassINET, dnsmessage.RCodeNotImplemented},
		{"example.org.", 0, dnsmessage.ClassINET, dnsmessage.RCodeServerFailure}, // nobody is there to be asked
	} {
		m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, OpCode: test.op},
			Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(test.name), Type: dnsmessage.TypeA, Class: test.class}}}
		raw, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		q, err := parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		var answer dnsmessage.Message
		if err := answer.Unpack(s.resolve(t.Context(), "udp", q, q.size)); err != nil {
			t.Fatal(err)
		}
		refused := test.want != dnsmessage.RCodeSuccess
		if answer.RCode != test.want || answer.OpCode != test.op || refused != (len(answer.Answers) == 0) || refused && answer.Authoritative {
			t.Errorf("%s %v, operation %d: %v %v, want %v", test.name, test.class, test.op, answer.Header, answer.Answers, test.want)
		}
	}
}

// Whatever comes, nothing falls over.
func FuzzQuery(f *testing.F) {
	m := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("web.default.svc.cluster.local."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	raw, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:12])
	f.Add(bytes.Repeat([]byte{0xc0, 0x0c}, 40))
	z := NewZone("cluster.local", network)
	z.Set("a", []Record{{Name: "web.default.svc.cluster.local", Type: A, TTL: 5, Value: "10.0.0.7"}})
	s := New(Options{Zone: z, Log: slog.New(slog.DiscardHandler)})
	f.Fuzz(func(t *testing.T, raw []byte) {
		q, err := parse(raw)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		answer := s.pack(q, s.answer(ctx, q), q.size)
		if len(answer) < 12 || len(answer) > largestSize || !bytes.Equal(answer[:2], raw[:2]) {
			t.Errorf("answer % x", answer)
		}
	})
}
