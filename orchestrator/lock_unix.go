//go:build unix

package orchestrator

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lock is held by whoever has its file open: this process, and those that the
// open file was handed to. It is only ever closed. To unlock it would unlock it
// for all of them.
type lock struct{ file *os.File }

// tryLock takes the lock at path. errHeld: somebody else has it.
func tryLock(path string) (*lock, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		err = errHeld
	case err == nil:
		return &lock{file}, nil
	}
	return nil, errors.Join(err, file.Close())
}

func (l *lock) release() error { return l.file.Close() }
