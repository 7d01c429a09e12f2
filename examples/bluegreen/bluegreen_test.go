package bluegreen_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/examples/load"
	"skiff/orchestrator/skifftest"
)

// The selector goes from blue to green and back under load from the host and
// from a Pod: nothing is lost, and each time there is one moment at which all
// new requests move.
func TestSelectorMovesEveryNewRequest(t *testing.T) {
	t.Parallel()
	i := skifftest.New(t)
	i.Apply(t, "bluegreen.yaml")
	for _, name := range []string{"blue", "green", "visitor"} {
		i.WaitRollout(t, name)
	}
	services := i.Client.CoreV1().Services(skifftest.Namespace)
	svc, err := services.Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	visitor := i.WaitPods(t, "app=visitor", func(pods []corev1.Pod) bool { return len(pods) == 1 })[0]
	fromHost := fmt.Sprintf("127.0.0.1:%d", svc.Spec.Ports[0].NodePort)
	fromPod := net.JoinHostPort(visitor.Status.PodIP, "8080")

	ctx, cancel := context.WithCancel(t.Context())
	all := []*traffic{
		{name: "host, requests", o: load.Options{Address: fromHost, Rate: 200, Fresh: 0.5, Conns: 8}},
		{name: "host, slow", o: load.Options{Address: fromHost, Path: "/slow?d=500ms", Body: "slow", Rate: 10, Conns: 16}},
		{name: "Pod, kept", o: load.Options{Address: fromPod, Path: "/backend", Rate: 100, Conns: 8}},
		{name: "Pod, fresh", o: load.Options{Address: fromPod, Path: "/backend?fresh=true", Rate: 100, Conns: 8}},
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, l := range all {
		l.answered = make(chan struct{}, 1)
		wg.Go(func() { load.Run(ctx, l.o, l.add) })
	}
	for _, l := range all {
		l.wait(t, "blue")
	}
	for _, color := range []string{"green", "blue"} {
		for _, l := range all {
			l.turn(color)
		}
		patch := fmt.Sprintf(`{"spec":{"selector":{"color":%q}}}`, color)
		if _, err := services.Patch(t.Context(), "shop", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		stored := time.Now()
		for _, l := range all {
			l.wait(t, color)
			t.Logf("%s: %s answers %v after the change was stored", l.name, color, l.first().Sub(stored))
		}
	}
	cancel()
	wg.Wait()
	for _, l := range all {
		l.judge(t)
	}
}

// traffic is a load and what it saw since the selector was last changed.
type traffic struct {
	name     string
	o        load.Options
	answered chan struct{}

	mu      sync.Mutex
	color   string
	samples []load.Sample // of the turn under way
	turns   []turn
	errs    []error
}

// turn is a change to color, and all requests that ended until the next one.
type turn struct {
	color   string
	samples []load.Sample
}

func (l *traffic) add(s load.Sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.Err != nil {
		l.errs = append(l.errs, s.Err)
	}
	l.samples = append(l.samples, s)
	select {
	case l.answered <- struct{}{}:
	default:
	}
}

func (l *traffic) turn(color string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turns = append(l.turns, turn{l.color, l.samples})
	l.color, l.samples = color, nil
}

// wait returns once the color has answered a good number of requests.
func (l *traffic) wait(t *testing.T, color string) {
	t.Helper()
	const enough = 20
	limit := time.NewTimer(3 * time.Minute)
	defer limit.Stop()
	for {
		l.mu.Lock()
		n := 0
		for _, s := range l.samples {
			if s.Version == color {
				n++
			}
		}
		l.mu.Unlock()
		if n >= enough {
			return
		}
		select {
		case <-l.answered:
		case <-limit.C:
			t.Fatalf("%s: %s answered %d requests in three minutes", l.name, color, n)
		}
	}
}

// first is when the color of this turn answered for the first time.
func (l *traffic) first() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return turn{l.color, l.samples}.first()
}

func (t turn) first() (first time.Time) {
	for _, s := range t.samples {
		if at := s.Due.Add(s.Wait); s.Version == t.color && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// judge says what was lost, and what was answered by the color that had been
// left by then. A request begins when it is due, or later.
func (l *traffic) judge(t *testing.T) {
	l.turn("")
	for _, err := range l.errs {
		t.Errorf("%s: %v", l.name, err)
	}
	for n, turned := range l.turns[1:] {
		moved := turned.first()
		late := slices.DeleteFunc(slices.Clone(turned.samples), func(s load.Sample) bool {
			return s.Err != nil || s.Version == turned.color || s.Due.Before(moved)
		})
		for _, s := range late {
			t.Errorf("%s: %s answered a request that was begun %v after %s had answered", l.name, s.Version, s.Due.Sub(moved), turned.color)
		}
		t.Logf("%s: turn %d to %s: %d requests", l.name, n+1, turned.color, len(turned.samples))
	}
}
