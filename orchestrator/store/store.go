// Package store keeps objects as bytes under (storage, namespace, name), each
// with the revision that created it and the one that last changed it, in one
// bbolt file. A write is on disk when it returns; writes that arrive together
// share a transaction. Watches read a bounded history held in memory, so no
// reader, however slow, can hold up a writer.
package store

import (
	"context"
	"errors"
	"strings"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// Errors that callers decide by. They are wrapped; test with errors.Is.
var (
	// ErrNotFound: nothing is stored under the key.
	ErrNotFound = errors.New("not found")
	// ErrExists: the key of a new entry is taken.
	ErrExists = errors.New("already exists")
	// ErrConflict: the entry has changed since the revision the caller saw.
	ErrConflict = errors.New("changed since it was read")
	// ErrExpired: the revision lies before the history that is still held.
	ErrExpired = errors.New("revision expired")
	// ErrLocked: another process has the file open.
	ErrLocked = errors.New("in use by another process")
	// ErrDamaged: the file is not a store, or is no longer a whole one.
	ErrDamaged = errors.New("damaged")
	// ErrFull: there is no room for the write. Nothing of it is stored, and
	// once there is, others succeed.
	ErrFull = errors.New("disk full")
	// ErrClosed: the writer has stopped, or the store is closed.
	ErrClosed = errors.New("store is closed")
)

// Key names one entry. Namespace is empty for what belongs to none.
type Key struct {
	Storage   string
	Namespace string
	Name      string
}

// path is the key within its storage; entries are listed in its order.
func (k Key) path() string { return k.Namespace + "/" + k.Name }

func keyOf(storage string, path []byte) Key {
	namespace, name, _ := strings.Cut(string(path), "/")
	return Key{Storage: storage, Namespace: namespace, Name: name}
}

// Entry is one stored value. The caller must not change Value.
type Entry struct {
	Key      Key
	Value    []byte
	Created  uint64
	Modified uint64
}

// Store is safe for concurrent use. Reads work from Open to Close, writes
// while Run is running; a write before that waits for it.
type Store struct {
	db     *bolt.DB
	path   string
	writes chan *write

	stopped chan struct{} // closed when Run has returned
	closed  chan struct{} // closed by Close
	close   func() error

	mu        sync.Mutex // guards what follows
	revision  uint64     // of the last write whose events are in the histories
	histories map[string]*history
	openedAt  uint64 // the floor of a storage that has no history yet
	lost      bool   // a failed commit left it unknown what is stored
	published *sync.Cond
}

// Revision is that of the latest write that watches have been told of.
func (s *Store) Revision() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision
}

// Close ends all watches and closes the file. Call it after Run has returned.
func (s *Store) Close() error { return s.close() }

// Run commits writes until ctx ends; it may be called once. Writes that it has
// taken on by then are still answered, later ones get ErrClosed.
func (s *Store) Run(ctx context.Context) error {
	defer close(s.stopped)
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-s.writes:
			s.commit(s.gather(first))
		}
	}
}
