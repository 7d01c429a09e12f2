package skifftest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gofrs/flock"

	"skiff/orchestrator"
)

// home is the directory of one instance. A file in it has the instance's name
// and is locked for as long as this process has the instance. The lock ends with
// the process, however that ends: so whoever comes later knows what was left.
type home struct {
	dir  string
	held *flock.Flock
}

func (h home) data() string { return filepath.Join(h.dir, "data") }
func (h home) lock() string { return filepath.Join(h.dir, "held") }

// homes is the directory of all instances of this user's tests.
type homes string

func userHomes() (homes, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a directory for the instances of tests: %w", err)
	}
	return homes(filepath.Join(cache, "skiff", "tests")), nil
}

// alone does something while no other process looks for what was left.
func (hs homes) alone(do func() error) error {
	if err := os.MkdirAll(string(hs), 0o700); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(string(hs), ".lock"), flock.SetPermissions(0o600))
	if err := lock.Lock(); err != nil {
		return err
	}
	return errors.Join(do(), lock.Unlock())
}

func (hs homes) open(name string) (home, error) {
	h := home{dir: filepath.Join(string(hs), name)}
	h.held = flock.New(h.lock(), flock.SetPermissions(0o600))
	return h, hs.alone(func() error {
		if err := os.Mkdir(h.dir, 0o700); err != nil {
			return err
		}
		if err := h.held.Lock(); err != nil {
			return err
		}
		return os.WriteFile(h.lock(), []byte(name), 0o600)
	})
}

func (hs homes) remove(h home) error {
	return hs.alone(func() error { return errors.Join(os.RemoveAll(h.dir), h.held.Close()) })
}

// left are the homes of processes that have ended. They are this one's now.
func (hs homes) left() (found []home, err error) {
	return found, hs.alone(func() error {
		entries, err := os.ReadDir(string(hs))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.IsDir() {
				continue
			}
			h := home{dir: filepath.Join(string(hs), e.Name())}
			h.held = flock.New(h.lock(), flock.SetPermissions(0o600))
			if free, err := h.held.TryLock(); err == nil && free {
				found = append(found, h)
			}
		}
		return nil
	})
}

// sweep removes what processes that have ended have left: a test that is
// interrupted, panics or takes longer than go test lets it does not clean up.
func (hs homes) sweep(ctx context.Context) error {
	found, err := hs.left()
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range found {
		if err := hs.purge(ctx, h); err != nil {
			errs = append(errs, fmt.Errorf("remove what an earlier test has left in %s: %w", h.dir, err), h.held.Close())
		}
	}
	return errors.Join(errs...)
}

func (hs homes) purge(ctx context.Context, h home) error {
	name, err := os.ReadFile(h.lock())
	if err != nil {
		return err
	}
	if len(name) > 0 { // else it had only begun
		err = orchestrator.Purge(ctx, orchestrator.Options{
			Name: strings.TrimSpace(string(name)), DataDir: h.data(), Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler),
		})
	}
	if err != nil && !errors.Is(err, orchestrator.ErrNoInstance) {
		return err
	}
	return hs.remove(h)
}

var swept sync.Once

// newHome gives a home that is removed after all that t cleans up later.
func newHome(t testing.TB, name string) home {
	t.Helper()
	hs, err := userHomes()
	if err != nil {
		t.Fatal(err)
	}
	swept.Do(func() {
		ctx, cancel := context.WithTimeout(t.Context(), stopTimeout)
		defer cancel()
		if err := hs.sweep(ctx); err != nil {
			t.Log(err)
		}
	})
	h, err := hs.open(name)
	if err != nil {
		t.Fatalf("make a directory for the instance: %v", err)
	}
	t.Cleanup(func() {
		if err := hs.remove(h); err != nil {
			t.Errorf("remove the instance's directory: %v", err)
		}
	})
	return h
}
