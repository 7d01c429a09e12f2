package dns

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// reverseDomain is what the reverse names of addresses end with.
const reverseDomain = "in-addr.arpa"

// specVersion is that of the specification which the names follow:
// https://github.com/kubernetes/dns/blob/master/docs/specification.md
const (
	specVersion = "1.1.0"
	versionTTL  = 28800
)

// Zone holds all records below a domain, and the reverse names of the addresses
// of a network. It is safe for concurrent use.
type Zone struct {
	domain  string
	network netip.Prefix

	mu      sync.Mutex // guards sources; held while names is made anew
	sources map[string][]Record

	names atomic.Pointer[map[string][]Record] // by name; those between names have none
}

// NewZone makes an empty zone.
func NewZone(domain string, network netip.Prefix) *Zone {
	z := &Zone{domain: domain, network: network, sources: map[string][]Record{}}
	z.index()
	return z
}

// Set makes records all that one source, a Service, says.
func (z *Zone) Set(source string, records []Record) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if len(records) == 0 {
		delete(z.sources, source)
	} else {
		z.sources[source] = records
	}
	z.index()
}

// Replace makes sources all that there is.
func (z *Zone) Replace(sources map[string][]Record) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.sources = map[string][]Record{}
	for source, records := range sources {
		z.sources[source] = records
	}
	z.index()
}

// index makes the names anew: there are few, they change seldom, and queries
// take no lock.
func (z *Zone) index() {
	version := "dns-version." + z.domain
	names := map[string][]Record{
		z.domain:          nil,
		"pod." + z.domain: nil,
		version:           {{Name: version, Type: TXT, TTL: versionTTL, Value: specVersion}},
	}
	for _, records := range z.sources {
		for _, r := range records {
			name := strings.ToLower(r.Name)
			if !slices.Contains(names[name], r) {
				names[name] = append(names[name], r)
			}
			for parent := name; z.below(parent); {
				_, parent, _ = strings.Cut(parent, ".")
				if _, known := names[parent]; known {
					break
				}
				names[parent] = nil
			}
		}
	}
	z.names.Store(&names)
}

// lookup gives the records of a name, and whether there is such a name.
func (z *Zone) lookup(name string) (records []Record, exists bool) {
	name = strings.ToLower(name)
	if records, exists = (*z.names.Load())[name]; exists {
		return records, exists
	}
	return z.pod(name)
}

// pod answers the names that have a Pod's address in them, and nothing else of it:
// 10-0-0-7.NAMESPACE.pod. As in Kubernetes, unless that is told otherwise, nobody
// looks whether there is such a Pod.
func (z *Zone) pod(name string) (records []Record, exists bool) {
	below, is := strings.CutSuffix(name, ".pod."+z.domain)
	if !is {
		return nil, false
	}
	label, namespace, more := strings.Cut(below, ".")
	if !more {
		return nil, true // it is a namespace
	}
	address, err := netip.ParseAddr(strings.ReplaceAll(label, "-", "."))
	if err != nil || strings.Contains(namespace, ".") || !z.network.Contains(address) {
		return nil, false
	}
	return []Record{{Name: name, Type: A, Value: address.String()}}, true
}

// owns says whether the zone, and nobody else, knows a name.
func (z *Zone) owns(name string) bool {
	name = strings.ToLower(name)
	if name == z.domain || z.below(name) || z.network.Contains(addressOf(name)) {
		return true
	}
	_, exists := z.lookup(name)
	return exists
}

func (z *Zone) below(name string) bool { return strings.HasSuffix(name, "."+z.domain) }

// apex is the domain in whose name is said that a name of the zone has nothing.
func (z *Zone) apex(name string) string {
	if addressOf(strings.ToLower(name)).IsValid() {
		return reverseDomain
	}
	return z.domain
}

// addressOf is the address that a reverse name is about; none of other names.
func addressOf(name string) netip.Addr {
	backwards, is := strings.CutSuffix(name, "."+reverseDomain)
	if !is {
		return netip.Addr{}
	}
	numbers := strings.Split(backwards, ".")
	slices.Reverse(numbers)
	address, err := netip.ParseAddr(strings.Join(numbers, "."))
	if err != nil {
		return netip.Addr{}
	}
	return address
}
