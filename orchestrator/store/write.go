package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// One transaction takes at most this much, so that the first write in it does
// not wait for a crowd behind it.
const (
	maxBatchWrites = 256
	maxBatchBytes  = 8 << 20
)

type action int

const (
	create action = iota
	update
	remove
	setMeta
)

// write is one change on its way through the writer.
type write struct {
	action   action
	key      Key
	value    []byte
	expected uint64 // the modification revision the caller saw

	event Event // set by apply
	err   error
	done  chan struct{}
}

// Create stores a new entry and returns its revision.
func (s *Store) Create(ctx context.Context, key Key, value []byte) (uint64, error) {
	return s.do(ctx, &write{action: create, key: key, value: value})
}

// Update replaces an entry that is still at the revision expected.
func (s *Store) Update(ctx context.Context, key Key, value []byte, expected uint64) (uint64, error) {
	return s.do(ctx, &write{action: update, key: key, value: value, expected: expected})
}

// Delete removes an entry that is still at the revision expected, and returns
// the revision of its removal.
func (s *Store) Delete(ctx context.Context, key Key, expected uint64) (uint64, error) {
	return s.do(ctx, &write{action: remove, key: key, expected: expected})
}

// SetMeta stores a value of the store's own, outside of all revisions.
func (s *Store) SetMeta(ctx context.Context, name string, value []byte) error {
	_, err := s.do(ctx, &write{action: setMeta, key: Key{Name: name}, value: value})
	return err
}

// do hands w to the writer. Once the writer has it, its outcome is waited for
// even if ctx ends: otherwise the caller could not know what is stored.
func (s *Store) do(ctx context.Context, w *write) (uint64, error) {
	w.done = make(chan struct{})
	select {
	case s.writes <- w:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.stopped:
		return 0, ErrClosed
	}
	<-w.done
	return w.event.Revision, w.err
}

// gather takes the writes that are waiting now.
func (s *Store) gather(first *write) []*write {
	batch, bytes := []*write{first}, len(first.value)
	for len(batch) < maxBatchWrites && bytes < maxBatchBytes {
		select {
		case w := <-s.writes:
			batch = append(batch, w)
			bytes += len(w.value)
		default:
			return batch
		}
	}
	return batch
}

// commit makes the batch durable, tells the watches, then answers.
func (s *Store) commit(batch []*write) {
	err := guard(func() error { return s.transact(batch) })
	if err != nil {
		s.resync()
		if full(err) {
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		for _, w := range batch {
			w.event = Event{}
			w.err = fmt.Errorf("write to store %s: %w", s.path, err)
		}
	} else {
		s.publish(batch)
	}
	for _, w := range batch {
		close(w.done)
	}
}

// full finds out whether there was no room. bbolt passes some of the system's
// errors on in words only.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || strings.Contains(err.Error(), syscall.ENOSPC.Error())
}

// transact applies the batch in one transaction. A write that is refused
// (conflict, not found) does not disturb the others; if all are, nothing is
// synced to disk.
func (s *Store) transact(batch []*write) error {
	tx, err := s.db.Begin(true)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	revision, err := readRevision(tx)
	if err != nil {
		return err
	}
	changed := false
	for _, w := range batch {
		if w.err = w.apply(tx, revision+1); w.err != nil {
			continue
		}
		changed = true
		if w.action != setMeta {
			revision++
		}
	}
	if !changed {
		return nil
	}
	if err := writeRevision(tx, revision); err != nil {
		return err
	}
	return tx.Commit()
}

func (w *write) apply(tx *bolt.Tx, revision uint64) error {
	if w.action == setMeta {
		return tx.Bucket(metaBucket).Put([]byte(w.key.Name), w.value)
	}
	bucket, err := tx.Bucket(objectsBucket).CreateBucketIfNotExists([]byte(w.key.Storage))
	if err != nil {
		return err
	}
	path := []byte(w.key.path())
	event := Event{Key: w.key, Revision: revision, Created: revision, Value: w.value}
	if w.value == nil && w.action != remove {
		event.Value = []byte{}
	}
	old := bucket.Get(path)
	if w.action == create {
		if old != nil {
			return ErrExists
		}
	} else {
		if old == nil {
			return ErrNotFound
		}
		entry, err := decodeEntry(w.key, path, old)
		if err != nil {
			return err
		}
		if entry.Modified != w.expected {
			return ErrConflict
		}
		event.Created, event.Prev, event.PrevModified = entry.Created, bytes.Clone(entry.Value), entry.Modified
	}
	w.event = event
	if w.action == remove {
		return bucket.Delete(path)
	}
	return bucket.Put(path, encodeEntry(path, event))
}
