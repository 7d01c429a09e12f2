package docker

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skiff/runtime/container"
)

// TestCommand: Kubernetes' rules for command and args over an image whose
// entry point is /app.
func TestCommand(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	for _, c := range []struct {
		name            string
		entrypoint, cmd []string
		want            string
	}{
		{"args", nil, []string{"args", "a b"}, "/app args a b\n"},
		{"command", []string{"/app", "args", "x"}, nil, "/app args x\n"},
		{"both", []string{"/app", "args"}, []string{"y"}, "/app args y\n"},
	} {
		s := spec(t, e, c.cmd...)
		s.Entrypoint = c.entrypoint
		id := start(t, e, s)
		exited(t, e, id)
		if got := output(t, e, id); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestMountsAndEnvironment(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := spec(t, e, "serve")
	s.Env = []string{"COLOUR=blue"}
	s.Mounts = []container.Mount{{Source: dir, Target: "/data", ReadOnly: true}}
	s.Hosts = []string{"db.example:10.1.2.3"}
	id := start(t, e, s)
	for _, c := range []struct {
		cmd  []string
		want string
	}{
		{[]string{"/app", "cat", "/data/file"}, "content"},
		{[]string{"/app", "env"}, "COLOUR=blue\n"},
		{[]string{"/app", "env"}, "HOSTNAME=" + s.Hostname + "\n"},
		{[]string{"/app", "cat", "/etc/hosts"}, "10.1.2.3\tdb.example"},
		{[]string{"/app", "cat", "/etc/hosts"}, s.Network.Address.String() + "\t" + s.Hostname},
		{[]string{"/app", "cat", "/proc/mounts"}, " /data "},
	} {
		out, code, err := e.Exec(t.Context(), id, c.cmd)
		if err != nil || code != 0 || !strings.Contains(string(out), c.want) {
			t.Errorf("%v = %q, %d, %v, want %q", c.cmd, out, code, err, c.want)
		}
	}
	for m := range strings.Lines(execOut(t, e, id, "/app", "cat", "/proc/mounts")) {
		if f := strings.Fields(m); f[1] == "/data" && !strings.HasPrefix(f[3], "ro") {
			t.Errorf("mounted with %s, want read-only", f[3])
		}
	}

	s = spec(t, e, "serve")
	s.Mounts = []container.Mount{{Source: filepath.Join(dir, "none"), Target: "/data"}}
	if _, err := e.Create(t.Context(), s); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("Create with a path that is not there = %v", err)
	}
}

func TestBadProgram(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	s := spec(t, e)
	s.Entrypoint = []string{"/nothing"}
	id, err := e.Create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), id); err == nil || !strings.Contains(err.Error(), "/nothing") {
		t.Errorf("Start = %v, want an error that names the program", err)
	}
	got, err := e.Inspect(t.Context(), id)
	if err != nil || got.State != container.Created || got.ExitCode == 0 || !strings.Contains(got.Error, "/nothing") {
		t.Errorf("after it: %+v, %v", got, err)
	}
}

func output(t *testing.T, e *Engine, id string) string {
	t.Helper()
	r, err := e.Logs(t.Context(), id, container.LogOptions{Tail: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func execOut(t *testing.T, e *Engine, id string, cmd ...string) string {
	t.Helper()
	out, _, err := e.Exec(t.Context(), id, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
