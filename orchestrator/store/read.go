package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Get reads one entry.
func (s *Store) Get(key Key) (entry Entry, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(objectsBucket).Bucket([]byte(key.Storage))
		if bucket == nil {
			return ErrNotFound
		}
		path := []byte(key.path())
		raw := bucket.Get(path)
		if raw == nil {
			return ErrNotFound
		}
		entry, err = decodeEntry(key, path, raw)
		entry.Value = bytes.Clone(entry.Value)
		return err
	})
	return entry, err
}

// Meta reads what SetMeta stored; ErrNotFound if it never did.
func (s *Store) Meta(name string) (value []byte, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		raw := tx.Bucket(metaBucket).Get([]byte(name))
		if raw == nil {
			return ErrNotFound
		}
		value = bytes.Clone(raw)
		return nil
	})
	return value, err
}

// Query selects what List reads.
type Query struct {
	Storage   string
	Namespace string // empty: all
	After     Key    // start behind this key; its Name empty: from the first
	Limit     int    // at most so many; 0: all
	At        uint64 // as it was at this revision; 0: now
}

// Page is a part of a storage as it was at one revision.
type Page struct {
	Entries   []Entry
	Revision  uint64
	Remaining int // entries behind the last one of a limited page
}

// List reads entries in the order of namespace and name. It gives ErrExpired
// where At lies before the history that is held.
func (s *Store) List(q Query) (Page, error) {
	page, err := s.listNow(q)
	if err != nil || q.At == 0 || q.At == page.Revision {
		return page, err
	}
	return s.listAt(q)
}

func (s *Store) listNow(q Query) (page Page, err error) {
	var values arena
	err = s.view(func(tx *bolt.Tx) error {
		if page.Revision, err = readRevision(tx); err != nil {
			return err
		}
		bucket := tx.Bucket(objectsBucket).Bucket([]byte(q.Storage))
		if bucket == nil {
			return nil
		}
		from, prefix := q.bounds()
		cursor := bucket.Cursor()
		for path, raw := cursor.Seek([]byte(from)); path != nil && bytes.HasPrefix(path, []byte(prefix)); path, raw = cursor.Next() {
			if q.Limit > 0 && len(page.Entries) == q.Limit {
				page.Remaining++
				continue
			}
			entry, err := decodeEntry(keyOf(q.Storage, path), path, raw)
			if err != nil {
				return err
			}
			entry.Value = values.clone(entry.Value)
			page.Entries = append(page.Entries, entry)
		}
		return nil
	})
	return page, err
}

// listAt takes the present and undoes what has happened since q.At.
func (s *Store) listAt(q Query) (Page, error) {
	now := q
	now.Limit = 0
	page, err := s.listNow(now)
	if err != nil {
		return Page{}, err
	}
	since, err := s.between(q.Storage, q.At, page.Revision)
	if err != nil {
		return Page{}, err
	}
	page.Entries, page.Revision = undo(page.Entries, since, q), q.At
	if q.Limit > 0 && len(page.Entries) > q.Limit {
		page.Remaining = len(page.Entries) - q.Limit
		page.Entries = page.Entries[:q.Limit]
	}
	return page, nil
}

func (q Query) bounds() (from, prefix string) {
	if q.Namespace != "" {
		prefix = q.Namespace + "/"
	}
	if q.After.Name != "" {
		return max(prefix, q.After.path()+"\x00"), prefix
	}
	return prefix, prefix
}

func (q Query) covers(path string) bool {
	from, prefix := q.bounds()
	return path >= from && strings.HasPrefix(path, prefix)
}

func (s *Store) view(f func(tx *bolt.Tx) error) error {
	err := guard(func() error { return s.db.View(f) })
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	if errors.Is(err, ErrDamaged) {
		return fmt.Errorf("read store %s: %w", s.path, err)
	}
	return err
}
