package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What each storage keeps of its past. A watch that falls further behind has
// to read the present again.
const (
	maxHistoryEvents = 2048
	maxHistoryBytes  = 2 << 20
)

// Event is one change of one entry.
type Event struct {
	Key      Key
	Revision uint64
	Created  uint64 // the revision that created the entry
	Value    []byte // nil: the entry was removed

	Prev         []byte // the value before; nil: the entry is new
	PrevModified uint64
}

func (e Event) size() int { return len(e.Value) + len(e.Prev) + 128 }

// history is the recent past of one storage. A quiet storage keeps its few
// events for ever, so watches of it do not expire because of busy ones.
type history struct {
	events  []Event // in the order of their revisions
	bytes   int
	floor   uint64 // all events above this revision are held
	watches map[*Watch]struct{}
}

func (s *Store) historyOf(storage string) *history {
	h := s.histories[storage]
	if h == nil {
		h = &history{floor: s.openedAt, watches: map[*Watch]struct{}{}}
		s.histories[storage] = h
	}
	return h
}

func (h *history) add(e Event) {
	h.events = append(h.events, e)
	h.bytes += e.size()
	drop, newest := 0, len(h.events)-1 // which stays, however large: it is news to every watch
	for drop < newest && (len(h.events)-drop > maxHistoryEvents || h.bytes > maxHistoryBytes) {
		h.floor = h.events[drop].Revision
		h.bytes -= h.events[drop].size()
		drop++
	}
	clear(h.events[:drop]) // frees the values; the array goes with the next growth
	h.events = h.events[drop:]
}

// after returns the events above a revision, oldest first.
func (h *history) after(revision uint64) ([]Event, error) {
	if revision < h.floor {
		return nil, fmt.Errorf("%w: %d is older than %d", ErrExpired, revision, h.floor)
	}
	i, _ := slices.BinarySearchFunc(h.events, revision+1, func(e Event, target uint64) int {
		if e.Revision < target {
			return -1
		}
		if e.Revision > target {
			return 1
		}
		return 0
	})
	return h.events[i:], nil
}

// publish puts the events of a committed batch where watches find them.
func (s *Store) publish(batch []*write) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.published.Broadcast()
	for _, w := range batch {
		if w.err != nil || w.action == setMeta {
			continue
		}
		h := s.historyOf(w.key.Storage)
		h.add(w.event)
		s.revision = w.event.Revision
		for watch := range h.watches {
			watch.signal()
		}
	}
}

// resync follows a commit that failed. If it got to disk all the same, nobody
// has been told of its writes: then every watch must start over.
func (s *Store) resync() {
	page, err := s.listNow(Query{})
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.published.Broadcast()
	if s.lost = err != nil; s.lost || page.Revision == s.revision {
		return
	}
	s.revision, s.openedAt = page.Revision, page.Revision
	for _, h := range s.histories {
		h.events, h.bytes, h.floor = nil, 0, page.Revision
		for watch := range h.watches {
			watch.signal()
		}
	}
}

// between copies the events of a storage after revision from, up to revision
// to, which was read from disk and may be a moment ahead of the history.
func (s *Store) between(storage string, from, to uint64) ([]Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.revision < to && !s.lost {
		s.published.Wait()
	}
	events, err := s.historyOf(storage).after(from)
	if err != nil {
		return nil, err
	}
	end := slices.IndexFunc(events, func(e Event) bool { return e.Revision > to })
	if end >= 0 {
		events = events[:end]
	}
	return slices.Clone(events), nil
}

// undo takes back the events, the latest first, as far as they concern q.
func undo(entries []Entry, events []Event, q Query) []Entry {
	byPath := make(map[string]Entry, len(entries))
	for _, e := range entries {
		byPath[e.Key.path()] = e
	}
	for _, e := range slices.Backward(events) {
		path := e.Key.path()
		switch {
		case !q.covers(path):
		case e.Prev == nil:
			delete(byPath, path)
		default:
			byPath[path] = Entry{Key: e.Key, Value: e.Prev, Created: e.Created, Modified: e.PrevModified}
		}
	}
	return slices.SortedFunc(maps.Values(byPath), func(a, b Entry) int {
		return strings.Compare(a.Key.path(), b.Key.path())
	})
}
