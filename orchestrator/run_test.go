package orchestrator_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"skiff/orchestrator"
	"skiff/orchestrator/skifftest"
)

// The kubeconfig is the last thing that is made, when every part runs already:
// where that fails the instance must end and say so, not wait for ever.
func TestRunEndsWhereItCannotBecomeReady(t *testing.T) {
	t.Parallel()
	o := orchestrator.Options{
		Name:    "test-not-ready-" + strings.ToLower(rand.Text()[:10]),
		DataDir: t.TempDir(),
		Listen:  "127.0.0.1:0",
		Log:     slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	inTheWay := filepath.Join(orchestrator.PathsIn(o.DataDir).Kubeconfig, "directory")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := orchestrator.Purge(context.Background(), o); err != nil {
			t.Error(err)
		}
	})
	orch, err := orchestrator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := orch.Run(ctx); !errors.Is(err, syscall.EISDIR) && !errors.Is(err, os.ErrExist) {
		t.Errorf("Run returned %v, want what is wrong with the kubeconfig", err)
	}
	if ctx.Err() != nil {
		t.Error("Run returned only when it was told to")
	}
}

// Under another name an instance would neither find nor remove the containers
// that the state in its data directory speaks of.
func TestDataDirectoryHasOneInstance(t *testing.T) {
	t.Parallel()
	first := skifftest.New(t)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	other := first.Options
	other.Name += "-other"
	orch, err := orchestrator.New(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := orch.Run(t.Context()); !errors.Is(err, orchestrator.ErrOtherInstance) {
		t.Errorf("Run returned %v", err)
	}
	if err := orchestrator.Purge(t.Context(), other); !errors.Is(err, orchestrator.ErrOtherInstance) {
		t.Errorf("Purge returned %v", err)
	}
	if _, err := os.Stat(orchestrator.PathsIn(other.DataDir).State); err != nil {
		t.Errorf("the state is gone: %v", err)
	}
	again := skifftest.Start(t, first.Options)
	if err := again.Stop(); err != nil {
		t.Error(err)
	}
}

// Once the Pods are stopped for skiff to go down, nobody is made to wait for others:
// held requests would keep the process.
func TestNobodyIsHeldWhenSkiffGoesDown(t *testing.T) {
	t.Parallel()
	images(t)
	first := skifftest.New(t)
	first.Deploy(t, web(1))
	address := first.Expose(t, nodePort("web", "http"))
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	orch, err := orchestrator.New(first.Options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- orch.Run(ctx) }()
	select {
	case <-orch.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	if err := orch.StopPods(ctx); err != nil {
		t.Error(err)
	}
	client := &http.Client{Timeout: 10 * time.Second} // less than a request is held
	answer, err := client.Get("http://" + address)
	if err != nil {
		t.Error(err)
	} else {
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "skiff goes down") {
			t.Errorf("answer is %s %q, %v", answer.Status, body, err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
