//go:build !unix

package orchestrator

import (
	"fmt"
	"os"

	"github.com/gofrs/flock"
)

// lock is held by this process alone: nothing is handed over here.
type lock struct {
	*flock.Flock
	file *os.File // nil
}

// tryLock takes the lock at path. errHeld: somebody else has it.
func tryLock(path string) (*lock, error) {
	l := flock.New(path, flock.SetPermissions(0o600))
	held, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !held {
		return nil, errHeld
	}
	return &lock{Flock: l}, nil
}

func (l *lock) release() error { return l.Unlock() }
