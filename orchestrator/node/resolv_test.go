package node

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestResolv(t *testing.T) {
	t.Parallel()
	five := "5"
	config := &corev1.PodDNSConfig{
		Nameservers: []string{"10.1.1.1", "127.0.0.11"},
		Searches:    []string{"a.example", "a.example", "b.example"},
		Options:     []corev1.PodDNSConfigOption{{Name: "ndots", Value: &five}, {Name: "edns0"}},
	}
	tests := map[string]struct {
		policy corev1.DNSPolicy
		config *corev1.PodDNSConfig
		want   string // empty: the engine's own
	}{
		"cluster":          {policy: corev1.DNSClusterFirst},
		"default":          {policy: corev1.DNSDefault},
		"cluster and more": {corev1.DNSClusterFirst, config, "nameserver 127.0.0.11\nnameserver 10.1.1.1\nsearch a.example b.example\noptions ndots:5 edns0\n"},
		"none":             {corev1.DNSNone, config, "nameserver 10.1.1.1\nnameserver 127.0.0.11\nsearch a.example b.example\noptions ndots:5 edns0\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, own := resolv(newPodObject("a", "web:1", func(p *corev1.Pod) { p.Spec.DNSPolicy, p.Spec.DNSConfig = test.policy, test.config }), netip.Addr{})
			if own != (test.want != "") || r.String() != test.want {
				t.Errorf("got %q, %t", r.String(), own)
			}
		})
	}
	if r := parseResolver("# comment\nnameserver 1.1.1.1\nsearch a b\nsearch c\noptions x\noptions y\n"); r.String() != "nameserver 1.1.1.1\nsearch c\noptions x y\n" {
		t.Errorf("parsed as %q", r.String())
	}
}

func TestReadTail(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789", 1000)
	for _, limit := range []int{1, 7, 2048, 10000, 20000} {
		got, err := readTail(inPieces{strings.NewReader(text)}, limit)
		if want := text[max(0, len(text)-limit):]; err != nil || string(got) != want {
			t.Errorf("limit %d: %d bytes, %v", limit, len(got), err)
		}
	}
}

// inPieces reads in small pieces.
type inPieces struct{ *strings.Reader }

func (r inPieces) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 3)]) }

// With a DNS server of the instance, Services' names come first.
func TestResolvServices(t *testing.T) {
	t.Parallel()
	server := netip.MustParseAddr("10.208.3.254")
	two := "2"
	extra := &corev1.PodDNSConfig{
		Nameservers: []string{"192.0.2.1"}, Searches: []string{"example.org"},
		Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &two}, {Name: "edns0"}},
	}
	for _, test := range []struct {
		name    string
		spec    corev1.PodSpec
		servers []string
		search  string // the first
		options []string
		engines bool // it is left to the engine
	}{
		{"by default", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst}, []string{"10.208.3.254"}, "shop.svc.cluster.local", []string{"ndots:5"}, false},
		{"with what the Pod adds", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, DNSConfig: extra},
			[]string{"10.208.3.254", "192.0.2.1"}, "shop.svc.cluster.local", []string{"ndots:2", "edns0"}, false},
		{"the machine's", corev1.PodSpec{DNSPolicy: corev1.DNSDefault}, nil, "", nil, true},
		{"the machine's network", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, HostNetwork: true}, nil, "", nil, true},
		{"the machine's network, Services first", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirstWithHostNet, HostNetwork: true},
			[]string{"10.208.3.254"}, "shop.svc.cluster.local", []string{"ndots:5"}, false},
		{"the Pod's own", corev1.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: extra}, []string{"192.0.2.1"}, "example.org", []string{"ndots:2", "edns0"}, false},
	} {
		pod := &corev1.Pod{Spec: test.spec}
		pod.Namespace = "shop"
		r, ok := resolv(pod, server)
		if ok == test.engines || !slices.Equal(r.servers, test.servers) || !slices.Equal(r.options, test.options) ||
			test.search != "" && (len(r.searches) == 0 || r.searches[0] != test.search) {
			t.Errorf("%s: %+v, %t", test.name, r, ok)
		}
	}
	if r, ok := resolv(&corev1.Pod{}, netip.Addr{}); ok {
		t.Errorf("without a DNS server: %+v", r)
	}
}
