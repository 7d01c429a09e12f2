package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// store keeps the documents of all collections in memory and in one file, to
// which every insert is appended and synced before it is acknowledged.
type store struct {
	mu          sync.RWMutex // guards all below
	file        *os.File
	collections map[string]*collection
}

type collection struct {
	docs []bson.Raw
	ids  map[string]struct{} // an _id's type and bytes
}

// record is what the file holds, one after the other.
type record struct {
	Collection string   `bson:"c"`
	Doc        bson.Raw `bson:"d"`
}

// errDuplicate: a document with that _id is there.
var errDuplicate = errors.New("duplicate _id")

// openStore reads the data file in dir. Like mongod it takes a lock: a second
// one on the same folder fails. A record that was cut off in the middle (the
// machine died while it was written) was never acknowledged and is cut away.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "standin.bson"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: another server uses it: %w", f.Name(), err), f.Close())
	}
	s := &store{file: f, collections: map[string]*collection{}}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", f.Name(), err), f.Close())
	}
	return s, nil
}

func (s *store) load() error {
	r, good := bufio.NewReader(s.file), int64(0)
	for {
		raw, err := bson.ReadDocument(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
		var rec record
		if err := bson.Unmarshal(raw, &rec); err != nil {
			return err
		}
		if err := s.keep(rec); err != nil {
			return err
		}
		good += int64(len(raw))
	}
	if err := s.file.Truncate(good); err != nil {
		return err
	}
	_, err := s.file.Seek(good, io.SeekStart)
	return err
}

// keep adds the record to what is in memory.
func (s *store) keep(rec record) error {
	c := s.collections[rec.Collection]
	if c == nil {
		c = &collection{ids: map[string]struct{}{}}
		s.collections[rec.Collection] = c
	}
	id := rec.Doc.Lookup("_id")
	key := string(append([]byte{byte(id.Type)}, id.Value...))
	if _, ok := c.ids[key]; ok {
		return errDuplicate
	}
	c.ids[key] = struct{}{}
	c.docs = append(c.docs, rec.Doc)
	return nil
}

// insert adds the documents in their order, up to the first that cannot be
// added. It returns how many are on disk.
func (s *store) insert(name string, docs []bson.Raw) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var added int
	var stopped error
	var out []byte
	for _, doc := range docs {
		rec := record{name, append(bson.Raw(nil), doc...)}
		if stopped = s.keep(rec); stopped != nil {
			break
		}
		raw, err := bson.Marshal(rec)
		if err != nil {
			return 0, err
		}
		out = append(out, raw...)
		added++
	}
	if _, err := s.file.Write(out); err != nil {
		return 0, err
	}
	if err := s.file.Sync(); err != nil {
		return 0, err
	}
	return added, stopped
}

// find gives the documents whose fields equal all of filter's, in the order in
// which they were inserted.
func (s *store) find(name string, filter bson.Raw) ([]bson.Raw, error) {
	wanted, err := filter.Elements()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.collections[name]
	if c == nil {
		return nil, nil
	}
	var found []bson.Raw
	for _, doc := range c.docs {
		if matches(doc, wanted) {
			found = append(found, doc)
		}
	}
	return found, nil
}

func matches(doc bson.Raw, wanted []bson.RawElement) bool {
	for _, e := range wanted {
		if !doc.Lookup(e.Key()).Equal(e.Value()) {
			return false
		}
	}
	return true
}

func (s *store) len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, c := range s.collections {
		n += len(c.docs)
	}
	return n
}

func (s *store) close() error { return s.file.Close() }
