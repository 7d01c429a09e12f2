package gateway

import (
	"context"
	"testing"
	"time"

	"skiff/proxy/pool"
)

// What the gateway counts gets to the daemon, and stays when the gateway begins
// anew or the daemon does.
func TestCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _, _ := serve(t, "a")
	m := member("a", a)
	m.Revision = "web-1"
	w.Set(t.Context(), w.service(80, m))
	w.Begin()
	w.eventually("a", 80)
	counted := func() pool.Tally {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.Recount(ctx); err != nil {
			t.Fatal(err)
		}
		return w.ledger.Sum()["default/web"]["80/TCP"].Revisions["web-1"]
	}
	before := counted().Requests()
	for range 5 {
		if got := w.get(80, "/"); got != "a" {
			t.Fatal(got)
		}
	}
	if n := counted().Requests(); n != before+5 || before == 0 {
		t.Errorf("counted %d, and %d after five requests", before, n)
	}

	if u := w.Use(); u.Goroutines == 0 || u.Heap == 0 || u.Memory < u.Heap {
		t.Errorf("the gateway takes %+v", u)
	}

	w.machine.kill()
	w.eventually("a", 80)
	if n := counted().Requests(); n <= before+5 {
		t.Errorf("counted %d after the gateway began anew", n)
	}
	before = counted().Requests()
	w.stop()
	w.connect()
	w.Set(t.Context(), w.service(80, m))
	w.Begin()
	w.eventually("a", 80)
	if n := counted().Requests(); n <= before {
		t.Errorf("counted %d before the daemon began anew, %d after", before, n)
	}
}
