package node

import (
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
			r, own := resolv(newPodObject("a", "web:1", func(p *corev1.Pod) { p.Spec.DNSPolicy, p.Spec.DNSConfig = test.policy, test.config }))
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
