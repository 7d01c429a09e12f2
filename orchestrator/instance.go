package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// ErrRunning: another skiff holds the instance's data directory.
var ErrRunning = errors.New("already running")

// Paths are the files of an instance, all below its data directory.
type Paths struct {
	Dir        string
	State      string // the store
	Kubeconfig string // mode 0600: who can read it can command the instance
	PKI        string // a directory: the instance's own authority and its certificates
	Pods       string // a directory: the Pods' emptyDir volumes
	Log        string // of a daemon in the background
	PID        string
	lock       string
}

// PathsIn names the files of the instance whose data directory is dir.
func PathsIn(dir string) Paths {
	in := func(name string) string { return filepath.Join(dir, name) }
	return Paths{
		Dir:        dir,
		State:      in("state.db"),
		Kubeconfig: in("kubeconfig"),
		PKI:        in("pki"),
		Pods:       in("pods"),
		Log:        in("skiff.log"),
		PID:        in("skiff.pid"),
		lock:       in("lock"),
	}
}

// acquire takes the instance for this process until release is called.
func (p Paths) acquire(ctx context.Context) (release func() error, err error) {
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	lock := flock.New(p.lock, flock.SetPermissions(0o600))
	// Someone who looks whether the instance runs holds the lock for a moment.
	ctx, cancel := context.WithTimeout(ctx, 10*stopPoll)
	defer cancel()
	held, err := lock.TryLockContext(ctx, stopPoll)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("lock %s: %w", p.lock, err)
	}
	if !held {
		return nil, fmt.Errorf("data directory %s: %w", p.Dir, ErrRunning)
	}
	if err := os.WriteFile(p.PID, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return func() error {
		// The number goes before the lock does: whoever finds the lock held finds
		// its holder's number.
		return errors.Join(os.Remove(p.PID), lock.Unlock())
	}, nil
}

// Running gives the process that runs the instance, or 0 where none does. The
// number is only believed while the instance's lock is held, so it cannot be
// that of a stranger.
func (p Paths) Running() (pid int, err error) {
	if _, err := os.Stat(p.lock); errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	lock := flock.New(p.lock)
	held, err := lock.TryRLock()
	if err != nil {
		return 0, fmt.Errorf("look at lock %s: %w", p.lock, err)
	}
	if held {
		return 0, lock.Unlock()
	}
	text, err := os.ReadFile(p.PID)
	if err != nil {
		return 0, fmt.Errorf("read the daemon's process number: %w", err)
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil || pid <= 0 {
		return 0, fmt.Errorf("read the daemon's process number from %s: %q is none", p.PID, text)
	}
	return pid, nil
}

// stopPoll is how often a lock that is held is looked at again: a file lock
// gives no event.
const stopPoll = 20 * time.Millisecond

// WaitStopped returns once no process runs the instance.
func (p Paths) WaitStopped(ctx context.Context) error {
	tick := time.NewTicker(stopPoll)
	defer tick.Stop()
	for {
		lock := flock.New(p.lock)
		held, err := lock.TryRLock()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look at lock %s: %w", p.lock, err)
		}
		if held {
			return lock.Unlock()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the daemon to stop: %w", ctx.Err())
		}
	}
}
