// Package porttest finds ports of the machine for tests.
package porttest

import (
	"math/rand/v2"
	"sync"
	"testing"

	"skiff/proxy"
)

// The ports that Free chooses from are neither node ports nor, on most systems,
// among those that are given to whoever connects to somebody: what is free stays
// free until a test listens there.
const (
	first = 20000
	count = 10000
)

var given sync.Map // by port

// Free is a port that nobody listens to, and that no other test of this process
// is given.
func Free(t testing.TB) int {
	t.Helper()
	for range count {
		port := first + rand.N(count)
		if _, before := given.LoadOrStore(port, true); !before && !proxy.Taken(t.Context(), []string{""}, int32(port)) {
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
