package fake_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skiff/runtime/container"
	"skiff/runtime/enginetest"
	"skiff/runtime/fake"
)

// app behaves as the program of the real engine's tests does.
func app(spec container.Spec) fake.Behaviour {
	b := fake.Behaviour{Exec: run}
	switch spec.Cmd[0] {
	case "serve":
		b.Output, b.LastWords = []string{"hello"}, []string{"bye"}
		b.Dial = func(context.Context, int) (net.Conn, error) {
			here, there := net.Pipe()
			there.Close()
			return here, nil
		}
	case "deaf":
		b.Output, b.Deaf = []string{"deaf"}, true
	case "exit":
		b.Output = []string{"exiting with " + spec.Cmd[1]}
		b.ExitAfter = time.Microsecond
		b.ExitCode, _ = strconv.Atoi(spec.Cmd[1])
	}
	return b
}

func run(ctx context.Context, cmd []string) ([]byte, int, error) {
	switch cmd[1] {
	case "echo":
		return []byte(strings.Join(cmd[2:], " ") + "\n"), 0, nil
	case "complain":
		return []byte("it hurts\n"), 3, nil
	}
	<-ctx.Done()
	return nil, 0, ctx.Err()
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	enginetest.Run(t, func(t *testing.T) enginetest.Lab {
		e := fake.New()
		e.AddImage("app:1", app)
		return enginetest.Lab{
			Engine:    e,
			ImageName: "app:1",
			OOM:       func(_ *testing.T, id string) { e.OOM(id) },
			Vanish:    func(_ *testing.T, id string) { e.Vanish(id) },
		}
	})
}

func TestInjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := fake.New()
		image := e.AddImage("app:1", app)
		boom := errors.New("boom")
		e.Fail("Create", boom, nil, boom)
		spec := container.Spec{ImageID: image.ID, Cmd: []string{"serve"}}
		var got []bool
		for i := range 4 {
			spec.Attempt = i
			_, err := e.Create(t.Context(), spec)
			got = append(got, err == nil)
		}
		if want := []bool{false, true, false, true}; strings.Compare(boolString(got), boolString(want)) != 0 {
			t.Errorf("creations that succeeded: %v, want %v", got, want)
		}
		if n := e.Calls("Create"); n != 4 {
			t.Errorf("Calls = %d, want 4", n)
		}
		e.Delay("List", time.Hour)
		began := time.Now()
		all, err := e.List(t.Context())
		if err != nil || len(all) != 2 || time.Since(began) != time.Hour {
			t.Errorf("List = %v, %v after %s", all, err, time.Since(began))
		}
		e.Delay("List", time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := e.List(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("List that is given up = %v", err)
		}
	})
}

func boolString(bs []bool) string {
	var s strings.Builder
	for _, b := range bs {
		s.WriteString(strconv.FormatBool(b))
	}
	return s.String()
}

func TestLostEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := fake.New()
		image := e.AddImage("app:1", app)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		events := e.Events(ctx)
		if _, err := e.Create(ctx, container.Spec{ImageID: image.ID, Cmd: []string{"serve"}}); err != nil {
			t.Fatal(err)
		}
		<-events
		e.LoseEvents()
		if got := <-events; got != (container.Event{}) {
			t.Errorf("after a loss came %+v, want a zero event", got)
		}
	})
}

func TestPull(t *testing.T) {
	t.Parallel()
	e := fake.New()
	e.AddRemote("app:2", app)
	if _, err := e.Image(t.Context(), "app:2"); !errors.Is(err, container.ErrNotFound) {
		t.Errorf("Image before the pull = %v", err)
	}
	var done, total int64
	pulled, err := e.Pull(t.Context(), "app:2", container.Credential{}, func(d, n int64) { done, total = d, n })
	if err != nil || done != total || total == 0 || len(pulled.Digests) != 1 {
		t.Errorf("Pull = %+v, %v, %d of %d", pulled, err, done, total)
	}
	if found, err := e.Image(t.Context(), "app:2"); err != nil || found.ID != pulled.ID {
		t.Errorf("Image after the pull = %+v, %v", found, err)
	}
	if _, err := e.Pull(t.Context(), "none:1", container.Credential{}, func(int64, int64) {}); !errors.Is(err, container.ErrNotFound) {
		t.Errorf("Pull of nothing = %v", err)
	}
}
