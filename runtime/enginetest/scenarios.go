package enginetest

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"skiff/runtime/container"
)

func life(t *testing.T, b bench) {
	s := b.spec(t, 1, "serve")
	s.Round = 2
	id := b.create(t, s)
	if e := b.expect(t, id, "create"); e.Pod != s.Pod || e.Name != s.Name || e.At.IsZero() {
		t.Errorf("event of the creation: %+v", e)
	}
	if err := b.Stop(t.Context(), id, time.Second); err != nil {
		t.Errorf("stopping a container that never ran: %v", err)
	}
	made := b.inspect(t, id)
	same(t, "created", made.State, container.Created)
	same(t, "identity", []any{made.ID, made.Pod, made.Name, made.Attempt, made.Round, made.Hash, made.Image, made.ImageID, made.Address},
		[]any{id, s.Pod, s.Name, s.Attempt, s.Round, s.Hash, s.Image, s.ImageID, s.Network.Address})
	if made.CreatedAt.IsZero() || !made.StartedAt.IsZero() || !made.FinishedAt.IsZero() {
		t.Errorf("times of a created container: %+v", made)
	}

	if err := b.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	b.expect(t, id, "start")
	b.answers(t, s.Network.Address)
	running := b.inspect(t, id)
	same(t, "running", running.State, container.Running)
	if running.StartedAt.IsZero() || !running.FinishedAt.IsZero() {
		t.Errorf("times of a running container: %+v", running)
	}
	if err := b.Start(t.Context(), id); err != nil {
		t.Errorf("starting a running container: %v", err)
	}

	if err := b.Stop(t.Context(), id, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	b.expect(t, id, "die")
	stopped := b.inspect(t, id)
	same(t, "stopped", []any{stopped.State, stopped.ExitCode, stopped.OOMKilled}, []any{container.Exited, 0, false})
	if stopped.FinishedAt.Before(stopped.StartedAt) {
		t.Errorf("times of a stopped container: %+v", stopped)
	}
	same(t, "list", b.list(t), []string{"web-1/app/0 exited"})
	if err := b.Stop(t.Context(), id, time.Second); err != nil {
		t.Errorf("stopping a stopped container: %v", err)
	}

	if err := b.Start(t.Context(), id); err != nil { // as "docker start" does
		t.Fatal(err)
	}
	b.expect(t, id, "start")
	same(t, "started again", b.inspect(t, id).State, container.Running)
	if again := b.inspect(t, id); !again.FinishedAt.Equal(stopped.FinishedAt) || !again.StartedAt.After(running.StartedAt) {
		t.Errorf("times of a container that was started again: %+v, before %+v", again, stopped)
	}

	for range 2 {
		if err := b.Remove(t.Context(), id); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	b.expect(t, id, "destroy")
	same(t, "list", b.list(t), []string{})
	_, err := b.Inspect(t.Context(), id)
	is(t, "inspect", err, container.ErrNotFound)
}

func exit(t *testing.T, b bench) {
	id := b.start(t, b.spec(t, 1, "exit", "3"))
	b.expect(t, id, "die")
	s := b.inspect(t, id)
	same(t, "status", []any{s.State, s.ExitCode, s.OOMKilled}, []any{container.Exited, 3, false})
	same(t, "log of an exited container", b.log(t, id, container.LogOptions{Tail: -1}), "exiting with 3\n")
}

func grace(t *testing.T, b bench) {
	deaf := b.start(t, b.spec(t, 1, "deaf"))
	b.awaitLog(t, deaf, "deaf")
	began := time.Now()
	const length = 1300 * time.Millisecond // no whole number of seconds
	if err := b.Stop(t.Context(), deaf, length); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < length {
		t.Errorf("killed after %s, before the grace of %s was over", took, length)
	}
	same(t, "exit code", b.inspect(t, deaf).ExitCode, 137)

	at := b.start(t, b.spec(t, 2, "serve"))
	if err := b.Stop(t.Context(), at, 0); err != nil {
		t.Fatal(err)
	}
	same(t, "exit code without grace", b.inspect(t, at).ExitCode, 137)

	// Whoever no longer waits does not stop the stop.
	left := b.start(t, b.spec(t, 3, "deaf"))
	b.awaitLog(t, left, "deaf")
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- b.Stop(ctx, left, time.Second) }()
	cancel()
	is(t, "stop that nobody waits for", <-stopped, context.Canceled)
	if err := b.Stop(t.Context(), left, time.Second); err != nil {
		t.Errorf("stopping again: %v", err)
	}
	same(t, "state", b.inspect(t, left).State, container.Exited)
}

// awaitLog reads until a line has been written: the program has got so far.
func (b bench) awaitLog(t *testing.T, id, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, err := b.Logs(ctx, id, container.LogOptions{Follow: true, Tail: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, len(line)+1)
	if _, err := io.ReadFull(r, buf); err != nil || string(buf) != line+"\n" {
		t.Fatalf("read %q, %v, want %q", buf, err, line)
	}
}

// oom has a container killed for want of memory. Docker learns of the reason
// beside the end, and on a busy machine can miss it: of three it knows one.
func oom(t *testing.T, b bench) {
	var after container.Status
	for attempt := 0; attempt < 3 && !after.OOMKilled; attempt++ {
		s := b.spec(t, 1, "serve")
		s.Attempt = attempt
		id := b.start(t, s)
		b.answers(t, s.Network.Address)
		b.OOM(t, id)
		b.expect(t, id, "die")
		after = b.inspect(t, id)
	}
	same(t, "status", []any{after.State, after.ExitCode, after.OOMKilled}, []any{container.Exited, 137, true})
}

// restart is what the Pod worker does after a crash: another attempt with the
// same address, while the one before keeps its logs.
func restart(t *testing.T, b bench) {
	s := b.spec(t, 1, "exit", "3")
	first := b.start(t, s)
	b.expect(t, first, "die")
	s.Attempt, s.Cmd = 1, []string{"serve"}
	second := b.start(t, s)
	b.answers(t, s.Network.Address)
	same(t, "list", b.list(t), []string{"web-1/app/0 exited", "web-1/app/1 running"})
	same(t, "attempt", b.inspect(t, second).Attempt, 1)
	same(t, "previous log", b.log(t, first, container.LogOptions{Tail: -1}), "exiting with 3\n")
	same(t, "previous code", b.inspect(t, first).ExitCode, 3)
}

func sandbox(t *testing.T, b bench) {
	box := b.spec(t, 1)
	box.Name, box.ImageID, box.Image = container.SandboxName, "", ""
	boxID := b.start(t, box)
	app := b.spec(t, 1, "serve")
	app.Hostname, app.Network = "", container.Network{Sandbox: boxID}
	first := b.start(t, app)
	b.answers(t, box.Network.Address)
	if a := b.inspect(t, first).Address; a.IsValid() {
		t.Errorf("a container that joined has the address %s", a)
	}

	// The address stays while the containers in it come and go.
	if err := b.Stop(t.Context(), first, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	app.Attempt = 1
	b.start(t, app)
	b.answers(t, box.Network.Address)
	same(t, "list", b.list(t), []string{"web-1/POD/0 running", "web-1/app/0 exited", "web-1/app/1 running"})

	if err := b.Stop(t.Context(), boxID, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	same(t, "sandbox", b.inspect(t, boxID).ExitCode, 137)
	app.Attempt = 2
	if err := b.Start(t.Context(), b.create(t, app)); err == nil {
		t.Error("a container joined a sandbox that does not run")
	}
}

// standby: a sandbox runs off its network beside the container that has the address
// until it takes that over.
func standby(t *testing.T, b bench) {
	app := b.spec(t, 1, "serve")
	first := b.start(t, app)
	b.answers(t, app.Network.Address)
	box := b.spec(t, 1)
	box.Name, box.ImageID, box.Image = container.SandboxName, "", ""
	boxID := b.create(t, box)
	same(t, "made", b.inspect(t, boxID).Detached, false)
	for range 2 {
		if err := b.Disconnect(t.Context(), boxID); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "made, off its network", b.inspect(t, boxID).Detached, true)
	if err := b.Start(t.Context(), boxID); err != nil {
		t.Fatal(err)
	}
	if st := b.inspect(t, boxID); st.State != container.Running || !st.Detached || st.Address != box.Network.Address {
		t.Errorf("off its network the sandbox is %+v", st)
	}
	b.answers(t, app.Network.Address)
	if err := b.Reconnect(t.Context(), boxID); err == nil {
		t.Error("the sandbox got the address that another container has")
	}

	if err := b.Stop(t.Context(), first, 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Reconnect(t.Context(), boxID); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "off its network", b.inspect(t, boxID).Detached, false)
	address := app.Network.Address
	app.Hostname, app.Network, app.Attempt = "", container.Network{Sandbox: boxID}, 1
	b.start(t, app)
	b.answers(t, address)
	if err := b.Stop(t.Context(), boxID, 0); err != nil {
		t.Fatal(err)
	}
	same(t, "off its network, ended", b.inspect(t, boxID).Detached, false)
	if err := b.Reconnect(t.Context(), boxID); !errors.Is(err, container.ErrConflict) {
		t.Errorf("connecting what does not run: %v, want %v", err, container.ErrConflict)
	}
}

func execute(t *testing.T, b bench) {
	id := b.start(t, b.spec(t, 1, "serve"))
	b.awaitLog(t, id, "hello")
	out, code, err := b.Exec(t.Context(), id, []string{"/app", "echo", "two", "words"})
	same(t, "echo", []any{string(out), code, err}, []any{"two words\n", 0, nil})
	out, code, err = b.Exec(t.Context(), id, []string{"/app", "complain"})
	same(t, "complain", []any{string(out), code, err}, []any{"it hurts\n", 3, nil})

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, _, err = b.Exec(ctx, id, []string{"/app", "sleep"})
	is(t, "sleep", err, context.DeadlineExceeded)

	if err := b.Stop(t.Context(), id, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	_, _, err = b.Exec(t.Context(), id, []string{"/app", "echo"})
	is(t, "exec in an exited container", err, container.ErrConflict)
}

func logs(t *testing.T, b bench) {
	id := b.start(t, b.spec(t, 1, "serve"))
	b.awaitLog(t, id, "hello")

	ctx, cancel := context.WithCancel(t.Context())
	follow, err := b.Logs(ctx, id, container.LogOptions{Follow: true, Tail: 0})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(follow); !errors.Is(err, context.Canceled) {
		t.Errorf("following after the context's end: %v", err)
	}
	follow.Close()

	follow, err = b.Logs(t.Context(), id, container.LogOptions{Follow: true, Tail: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer follow.Close()
	between := time.Now()
	if err := b.Stop(t.Context(), id, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(follow)
	same(t, "followed to the exit", []any{string(text), err}, []any{"hello\nbye\n", nil})
	same(t, "tail", b.log(t, id, container.LogOptions{Tail: 1}), "bye\n")
	same(t, "since", b.log(t, id, container.LogOptions{Tail: -1, Since: between}), "bye\n")
	stamped := b.log(t, id, container.LogOptions{Tail: 1, Timestamps: true})
	if len(stamped) < 5 {
		t.Fatalf("timestamps: %q", stamped)
	}
	if _, err := time.Parse(time.RFC3339Nano, stamped[:len(stamped)-len(" bye\n")]); err != nil {
		t.Errorf("timestamps: %v", err)
	}
}
