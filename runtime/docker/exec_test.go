package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestExecOutputIsBounded(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	id := start(t, e, spec(t, e, "serve"))
	out, code, err := e.Exec(t.Context(), id, []string{"/app", "flood"})
	if err != nil || code != 0 || len(out) != execOutput || !strings.HasPrefix(string(out), "0123456789\n") {
		t.Errorf("Exec = %d bytes, %d, %v", len(out), code, err)
	}
}

func TestExecOfNothing(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	id := start(t, e, spec(t, e, "serve"))
	out, code, err := e.Exec(t.Context(), id, []string{"/nothing"})
	if err == nil && code == 0 {
		t.Errorf("Exec of a program that is not there = %q, %d, nil", out, code)
	}
}

func TestExecIsKilled(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	id := start(t, e, spec(t, e, "serve"))
	before := processes(t, e, id)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, _, err := e.Exec(ctx, id, []string{"/app", "sleep"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Exec = %v", err)
	}
	if syscall.Geteuid() != 0 {
		return // only root may kill it
	}
	eventually(t, "killed", func() bool { return processes(t, e, id) == before })
}

// TestExecThatOutlivesItsOutput: the engine is not asked over and over.
func TestExecThatOutlivesItsOutput(t *testing.T) {
	t.Parallel()
	var asked int
	end := time.Now().Add(time.Second)
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/exec/x/json") {
			asked++
			fmt.Fprintf(w, `{"Running": %t, "ExitCode": 3}`, time.Now().Before(end))
		}
	}))
	defer engine.Close()
	e, err := New(Options{Host: "tcp://" + engine.Listener.Addr().String(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if code, err := e.execExit(t.Context(), "x", "x"); code != 3 || err != nil || asked > 15 {
		t.Errorf("execExit = %d, %v, after %d questions", code, err, asked)
	}
}

func processes(t *testing.T, e *Engine, id string) int {
	t.Helper()
	top, err := e.api.ContainerTop(t.Context(), engineID(id), nil)
	if err != nil {
		t.Fatal(err)
	}
	return len(top.Processes)
}
