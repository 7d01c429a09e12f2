package switchboard

import (
	"testing"

	"skiff/proxy/pool"
)

func counted(begun int64, revision string, requests uint64, backends ...string) pool.Counts {
	c := pool.Counts{Begun: begun, Revisions: map[string]pool.Tally{revision: {Answered: [6]uint64{2: requests}}}, Backends: map[string]pool.BackendCount{}}
	for _, id := range backends {
		c.Backends[id] = pool.BackendCount{Requests: requests, InFlight: 1}
	}
	return c
}

func at(service, port string, c pool.Counts) Counts {
	return Counts{service: {port: c}}
}

// What a Service has counted never falls while it is there, whatever begins anew.
func TestLedger(t *testing.T) {
	t.Parallel()
	steps := []struct {
		what     string
		front    string
		counts   Counts
		requests uint64 // of the Service a, port 80
		pod      pool.BackendCount
	}{
		{"the first", "host", at("a", "80", counted(1, "r1", 5, "pod")), 5, pool.BackendCount{Requests: 5, InFlight: 1}},
		{"more of it", "host", at("a", "80", counted(1, "r1", 7, "pod")), 7, pool.BackendCount{Requests: 7, InFlight: 1}},
		{"another front", "gateway", at("a", "80", counted(2, "r1", 10, "pod")), 17, pool.BackendCount{Requests: 17, InFlight: 2}},
		{"that begins anew", "gateway", at("a", "80", counted(3, "r1", 1, "pod")), 18, pool.BackendCount{Requests: 18, InFlight: 2}},
		{"and goes on", "gateway", at("a", "80", counted(3, "r1", 4, "pod")), 21, pool.BackendCount{Requests: 21, InFlight: 2}},
		{"the port is gone from one", "host", at("b", "80", counted(4, "r1", 1)), 21, pool.BackendCount{Requests: 14, InFlight: 1}},
		{"and comes back", "host", at("a", "80", counted(5, "r2", 2)), 23, pool.BackendCount{Requests: 14, InFlight: 1}},
		{"a revision goes in with the others", "host", at("a", "80", counted(5, pool.Earlier, 2)), 23, pool.BackendCount{Requests: 14, InFlight: 1}},
		{"the Pod is gone", "gateway", at("a", "80", counted(3, "r1", 4)), 23, pool.BackendCount{}},
		{"one front has it no more", "gateway", Counts{}, 23, pool.BackendCount{}},
		{"no front has it", "host", Counts{}, 0, pool.BackendCount{}},
		{"another of that name", "host", at("a", "80", counted(6, "r1", 3)), 3, pool.BackendCount{}},
	}
	var l Ledger
	for _, s := range steps {
		l.Take(s.front, s.counts)
		sum := l.Sum()["a"]["80"]
		var all pool.Tally
		for _, tally := range sum.Revisions {
			all = all.Plus(tally)
		}
		if all.Requests() != s.requests || sum.Backends["pod"] != s.pod {
			t.Errorf("%s: %d requests, pod %+v; want %d, %+v", s.what, all.Requests(), sum.Backends["pod"], s.requests, s.pod)
		}
	}
	if sum := l.Sum(); len(sum) != 1 {
		t.Errorf("kept %v", sum)
	}
}

// What a front that is gone has counted stays, and nothing of it goes on.
func TestLedgerSettles(t *testing.T) {
	t.Parallel()
	var l Ledger
	l.Take("host", at("a", "80", counted(1, "r1", 5, "pod")))
	l.Take("elder", Counts{"a": {"80": counted(0, "r1", 7, "pod"), "81": counted(0, "r1", 3)}})
	l.Take("gateway", at("a", "80", counted(2, "r1", 100, "pod")))
	if n := l.Sum("host", "elder")["a"]["80"].Revisions["r1"].Requests(); n != 12 {
		t.Errorf("two of three fronts have counted %d", n)
	}
	for range 2 {
		l.Settle("elder", "host")
		sum := l.Sum("host", "elder")["a"]
		if n := sum["80"].Revisions["r1"].Requests(); n != 12 {
			t.Errorf("%d requests are left", n)
		}
		if n := sum["81"].Revisions["r1"].Requests(); n != 3 {
			t.Errorf("%d requests are left of a port that only the one that is gone had", n)
		}
		if want := (pool.BackendCount{Requests: 12, InFlight: 1}); sum["80"].Backends["pod"] != want {
			t.Errorf("pod: %+v, want %+v", sum["80"].Backends["pod"], want)
		}
	}
	l.Take("host", Counts{})
	l.Take("gateway", Counts{})
	if sum := l.Sum(); len(sum) != 0 {
		t.Errorf("kept %v", sum)
	}
}
