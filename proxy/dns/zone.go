package dns

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Zone holds all records below a domain, and the reverse names of their
// addresses. It is safe for concurrent use.
type Zone struct {
	domain string

	mu      sync.Mutex // guards sources; held while names is made anew
	sources map[string][]Record

	names atomic.Pointer[map[string][]Record] // by name; those between names have none
}

// NewZone makes an empty zone.
func NewZone(domain string) *Zone {
	z := &Zone{domain: domain, sources: map[string][]Record{}}
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
	names := map[string][]Record{z.domain: nil}
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
	records, exists = (*z.names.Load())[strings.ToLower(name)]
	return records, exists
}

// owns says whether the zone, and nobody else, knows a name.
func (z *Zone) owns(name string) bool {
	name = strings.ToLower(name)
	if name == z.domain || z.below(name) {
		return true
	}
	_, exists := z.lookup(name)
	return exists
}

func (z *Zone) below(name string) bool { return strings.HasSuffix(name, "."+z.domain) }
