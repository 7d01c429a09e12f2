package gateway

import (
	"context"
	"testing"
	"time"
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
	// A client may have its answer before that is counted.
	counted := func(atLeast uint64) uint64 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			if err := w.Recount(ctx); err != nil {
				t.Fatalf("counted less than %d: %v", atLeast, err)
			}
			tally := w.ledger.Sum()["default/web"]["80/TCP"].Revisions["web-1"]
			if n := tally.Requests(); n >= atLeast {
				return n
			}
		}
	}
	before := counted(1)
	for range 5 {
		if got := w.get(80, "/"); got != "a" {
			t.Fatal(got)
		}
	}
	if n := counted(before + 5); n != before+5 {
		t.Errorf("counted %d, and %d after five requests", before, n)
	}

	if u := w.Use(); u.Goroutines == 0 || u.Heap == 0 || u.Memory < u.Heap {
		t.Errorf("the gateway takes %+v", u)
	}

	w.machine.kill()
	w.eventually("a", 80)
	before = counted(before + 6)
	w.stop()
	w.connect()
	w.Set(t.Context(), w.service(80, m))
	w.Begin()
	w.eventually("a", 80)
	counted(before + 1)
}
