package store

import (
	"context"
	"slices"
)

// maxTake bounds what one call of Next hands out.
const maxTake = 256

// Watch follows the changes of one storage. It holds no events of its own: it
// is a place in the storage's history, and expires when that history no longer
// reaches back to it. One goroutine uses it at a time.
type Watch struct {
	store     *Store
	storage   string
	namespace string
	cursor    uint64 // everything up to here has been handed out
	wake      chan struct{}
}

// Watch follows what happens after revision from, in one namespace or, if it
// is empty, in all. It gives ErrExpired where the history does not reach back
// that far, which is so for every revision of an earlier run.
func (s *Store) Watch(storage, namespace string, from uint64) (*Watch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.historyOf(storage)
	if _, err := h.after(from); err != nil {
		return nil, err
	}
	w := &Watch{store: s, storage: storage, namespace: namespace, cursor: from, wake: make(chan struct{}, 1)}
	h.watches[w] = struct{}{}
	return w, nil
}

// Next waits for events and returns them in order. It gives ErrExpired if the
// watch has fallen too far behind, ErrClosed when the store is closed.
func (w *Watch) Next(ctx context.Context) ([]Event, error) {
	for {
		events, err := w.take()
		if len(events) > 0 || err != nil {
			return events, err
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-w.store.closed:
			return nil, ErrClosed
		}
	}
}

// Revision says up to where nothing more can come: a watch from there on
// misses nothing that this one has not handed out.
func (w *Watch) Revision() uint64 {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	pending, err := w.store.historyOf(w.storage).after(w.cursor)
	if err == nil && len(pending) == 0 {
		w.cursor = max(w.cursor, w.store.revision)
	}
	return w.cursor
}

// Close ends the watch.
func (w *Watch) Close() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	delete(w.store.historyOf(w.storage).watches, w)
}

func (w *Watch) take() ([]Event, error) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	pending, err := w.store.historyOf(w.storage).after(w.cursor)
	if err != nil || len(pending) == 0 {
		return nil, err
	}
	pending = pending[:min(len(pending), maxTake)]
	w.cursor = pending[len(pending)-1].Revision
	if w.namespace == "" {
		return slices.Clone(pending), nil
	}
	var mine []Event
	for _, e := range pending {
		if e.Key.Namespace == w.namespace {
			mine = append(mine, e)
		}
	}
	if mine == nil {
		w.signal() // there may be more behind what was skipped
	}
	return mine, nil
}

func (w *Watch) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
