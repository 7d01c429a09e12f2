package apiserver

import (
	"sync"

	"skiff/orchestrator/store"
)

// objectLocks lets one write at a time read, change and store an object. The
// store would refuse all but one of them anyway, and writes of different
// objects still share its commits; so nobody has to try again, and nobody can
// lose for ever.
type objectLocks struct {
	mu   sync.Mutex // guards held
	held map[store.Key]*objectLock
}

type objectLock struct {
	mu    sync.Mutex // whose turn it is to write the object
	users int        // that hold it or wait for it; guarded by objectLocks.mu
}

// lock waits for its turn and returns what ends it. Whoever holds the
// namespaces' lock may ask for an object's, and who holds that may ask for a
// kind's allocation lock; never the other way round.
func (l *objectLocks) lock(key store.Key) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[store.Key]*objectLock{}
	}
	mine := l.held[key]
	if mine == nil {
		mine = &objectLock{}
		l.held[key] = mine
	}
	mine.users++
	l.mu.Unlock()
	mine.mu.Lock()
	return func() {
		mine.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if mine.users--; mine.users == 0 {
			delete(l.held, key)
		}
	}
}
