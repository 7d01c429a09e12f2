// Package route finds where a request goes by its host and its path, as the
// rules of an Ingress say it. A table never changes; who has new rules makes
// another one.
package route

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// MaxRules bounds a table.
const MaxRules = 10_000

// Rule leads the requests for a host and a path somewhere.
type Rule[T comparable] struct {
	Host  string // a name, "*.example.com" for names with one label more, or "" for all others
	Path  string // "" is "/"
	Exact bool   // the path itself; else all that begins with its elements
	To    T
}

// Table is made of rules. The more exact host wins: a name before a wildcard
// before none. Within the host the longest path does, and an exact one before
// an equal prefix. A request that no path of its host matches has no route.
type Table[T comparable] struct {
	hosts map[string]*paths[T] // wildcards with their star
}

type paths[T comparable] struct {
	exact  map[string]T
	prefix map[string]T // without the slash at the end
}

// New makes a table. Of rules for the same host and path the first counts.
// hidden are the places of those that have no effect for that, or because there
// are more than MaxRules.
func New[T comparable](rules []Rule[T]) (t *Table[T], hidden []int) {
	t = &Table[T]{hosts: map[string]*paths[T]{}}
	for i, rule := range rules {
		if i >= MaxRules || !t.add(rule) {
			hidden = append(hidden, i)
		}
	}
	return t, hidden
}

func (t *Table[T]) add(rule Rule[T]) bool {
	host := Host(rule.Host)
	p := t.hosts[host]
	if p == nil {
		p = &paths[T]{exact: map[string]T{}, prefix: map[string]T{}}
		t.hosts[host] = p
	}
	path, into := unescape(rule.Path), p.exact
	if !rule.Exact {
		path, into = strings.TrimSuffix(path, "/"), p.prefix
	}
	if _, taken := into[path]; taken {
		return false
	}
	into[path] = rule.To
	return true
}

// Why a request has no route.
var (
	ErrNoHost    = errors.New("no rule for this host")
	ErrNoPath    = errors.New("no rule for this path")
	ErrAmbiguous = errors.New("the path can be read in several ways that lead to different places")
)

// Find says where a request for a host, which may have a port, and an escaped
// path goes.
//
// Servers do not agree on what "//", "/../", "%2f" or ";" in a path mean. So
// that none of them leads around a rule, a path is read in all the ways that
// they do, and has a route only where all lead to the same place. It goes on as
// it came.
func (t *Table[T]) Find(host, path string) (to T, err error) {
	p := t.pathsOf(Host(host))
	if p == nil {
		return to, ErrNoHost
	}
	first := true
	var found bool
	for reading := range readings(path) {
		other, ok := p.find(reading)
		switch {
		case first:
			to, found, first = other, ok, false
		case ok != found || other != to:
			var none T
			return none, ErrAmbiguous
		}
	}
	if !found {
		return to, ErrNoPath
	}
	return to, nil
}

// Serves says whether there is a rule for a host by its name or a wildcard.
func (t *Table[T]) Serves(host string) bool {
	p := t.pathsOf(Host(host))
	return p != nil && p != t.hosts[""]
}

// Hosts are those that the rules name, in order.
func (t *Table[T]) Hosts() []string {
	hosts := slices.Sorted(maps.Keys(t.hosts))
	return slices.DeleteFunc(hosts, func(h string) bool { return h == "" })
}

// Empty says that nothing has a route.
func (t *Table[T]) Empty() bool { return len(t.hosts) == 0 }

func (t *Table[T]) pathsOf(host string) *paths[T] {
	if p := t.hosts[host]; p != nil && host != "" && host[0] != '*' {
		return p
	}
	if first, rest, ok := strings.Cut(host, "."); ok && first != "" {
		if p := t.hosts["*."+rest]; p != nil {
			return p
		}
	}
	return t.hosts[""]
}

func (p *paths[T]) find(path string) (to T, found bool) {
	if to, found = p.exact[path]; found {
		return to, true
	}
	for end := len(path); end >= 0; end = strings.LastIndexByte(path[:end], '/') {
		if to, found = p.prefix[path[:end]]; found {
			return to, true
		}
	}
	return to, false
}

// Host is the name that a Host field asks for: without a port and the dot of
// the root, in lower case.
func Host(field string) string {
	if i := strings.LastIndexByte(field, ':'); i >= 0 && !strings.Contains(field[i:], "]") {
		field = field[:i]
	}
	return strings.ToLower(strings.TrimSuffix(field, "."))
}
