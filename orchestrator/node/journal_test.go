package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/runtime/container"
	"skiff/runtime/fake"
)

// journal is what was done, in order.
type journal struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// index is the position of the n-th line that begins with a text, counted from
// 0; -1 if there is none.
func (j *journal) index(prefix string, n int) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, l := range j.lines {
		if strings.HasPrefix(l, prefix) {
			if n == 0 {
				return i
			}
			n--
		}
	}
	return -1
}

func (j *journal) count(prefix string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, l := range j.lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

// writtenEngine is an engine that keeps a journal of what changes containers.
type writtenEngine struct {
	*fake.Engine
	journal *journal
	seen    func() // is called once, between a look at a container and the answer
}

func (e *writtenEngine) Inspect(ctx context.Context, id string) (container.Status, error) {
	st, err := e.Engine.Inspect(ctx, id)
	if seen := e.seen; seen != nil {
		e.seen = nil
		seen()
	}
	return st, err
}

func (e *writtenEngine) Create(ctx context.Context, spec container.Spec) (string, error) {
	e.journal.add("create %s %d", spec.Name, spec.Attempt)
	return e.Engine.Create(ctx, spec)
}

func (e *writtenEngine) Start(ctx context.Context, id string) error {
	err := e.Engine.Start(ctx, id)
	e.journal.add("started")
	return err
}

func (e *writtenEngine) Stop(ctx context.Context, id string, grace time.Duration) error {
	e.journal.add("stop %s", grace.Round(100*time.Millisecond))
	err := e.Engine.Stop(ctx, id, grace)
	if st, notFound := e.Engine.Inspect(ctx, id); notFound == nil {
		e.journal.add("ended %s", st.Name)
	}
	return err
}

func (e *writtenEngine) Remove(ctx context.Context, id string) error {
	e.journal.add("remove")
	return e.Engine.Remove(ctx, id)
}

func (e *writtenEngine) Exec(ctx context.Context, id string, cmd []string) ([]byte, int, error) {
	e.journal.add("exec %s", strings.Join(cmd, " "))
	return e.Engine.Exec(ctx, id, cmd)
}

// road is a Traffic that takes as long as it is told to.
type road struct {
	journal *journal

	mu    sync.Mutex // guards the rest
	slow  time.Duration
	cargo time.Duration // how long requests are in flight
	late  time.Duration // how long after its deadline a drain is over
	fails int           // how many times Add is to fail
	in    map[types.UID]bool
}

func (r *road) wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	if !pause(ctx, d) {
		return ctx.Err()
	}
	return nil
}

func (r *road) Add(ctx context.Context, pod *corev1.Pod) error {
	r.journal.add("add %s begins", pod.Name)
	r.mu.Lock()
	slow, fail := r.slow, r.fails > 0
	r.fails--
	r.in[pod.UID] = !fail
	r.mu.Unlock()
	if err := r.wait(ctx, slow); err != nil {
		return err
	}
	if fail {
		return errors.New("traffic is jammed")
	}
	if pod.Status.PodIP == "" {
		return fmt.Errorf("add %s: it has no address", pod.Name)
	}
	r.journal.add("add %s returned", pod.Name)
	return nil
}

func (r *road) Remove(ctx context.Context, uid types.UID) error {
	r.mu.Lock()
	slow := r.slow
	delete(r.in, uid)
	r.mu.Unlock()
	if err := r.wait(ctx, slow); err != nil {
		return err
	}
	r.journal.add("traffic removed")
	return nil
}

func (r *road) Drain(ctx context.Context, pod *corev1.Pod, streams time.Duration) error {
	r.journal.add("drain %s begins, streams %s", pod.Name, streams)
	r.mu.Lock()
	cargo, late := r.cargo, r.late
	delete(r.in, pod.UID)
	r.mu.Unlock()
	err := r.wait(ctx, cargo)
	if errors.Is(err, context.DeadlineExceeded) {
		time.Sleep(late)
	}
	r.journal.add("drain %s returned", pod.Name)
	return err
}

func (r *road) serves(uid types.UID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.in[uid]
}
