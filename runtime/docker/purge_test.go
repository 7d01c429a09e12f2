package docker

import (
	"errors"
	"testing"

	"skiff/runtime/container"
)

func TestPurge(t *testing.T) {
	t.Parallel()
	mine, other := newEngine(t), newEngine(t)
	box := func(e *Engine) string {
		s := spec(t, e)
		s.Name, s.ImageID = container.SandboxName, ""
		return start(t, e, s)
	}
	box(mine)
	theirs := box(other)
	start(t, mine, spec(t, mine, "serve"))
	for range 2 { // the second has nothing to do
		if err := mine.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := mine.List(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("left after the purge: %v, %v", left, err)
	}
	if _, err := mine.findNetwork(t.Context()); !errors.Is(err, container.ErrNotFound) {
		t.Errorf("network after the purge: %v", err)
	}
	if s, err := other.Inspect(t.Context(), theirs); err != nil || s.State != container.Running {
		t.Errorf("the other instance's sandbox: %+v, %v", s, err)
	}
	ref, _, err := other.pauseImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Image(t.Context(), ref); err != nil {
		t.Errorf("the other instance's pause image: %v", err)
	}
}
