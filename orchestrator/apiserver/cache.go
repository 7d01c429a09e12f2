package apiserver

import (
	"sync"
)

// A generation of decoded objects ends at this many encoded bytes. Two are
// held, and decoded objects take about three times their encoded size.
const generationBytes = 2 << 20

// decodedObjects spares decoding the same bytes again for every reader and
// watch. A revision names one state of one object for ever, so entries are
// never wrong, only old. The objects are shared: nobody may change them.
type decodedObjects struct {
	mu        sync.Mutex // guards all below
	young     map[uint64]object
	old       map[uint64]object
	youngSize int
}

func newDecodedObjects() *decodedObjects {
	return &decodedObjects{young: map[uint64]object{}}
}

// get returns the object that is raw as of the revision that wrote it.
func (c *decodedObjects) get(revision uint64, raw []byte) (object, error) {
	if obj := c.lookup(revision, len(raw)); obj != nil {
		return obj, nil
	}
	obj, err := decodeStored(raw)
	if err != nil {
		return nil, err
	}
	obj.SetResourceVersion(formatRevision(revision))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(revision, obj, len(raw))
	return obj, nil
}

func (c *decodedObjects) lookup(revision uint64, size int) object {
	c.mu.Lock()
	defer c.mu.Unlock()
	if obj := c.young[revision]; obj != nil {
		return obj
	}
	obj := c.old[revision]
	if obj != nil {
		c.put(revision, obj, size)
	}
	return obj
}

func (c *decodedObjects) put(revision uint64, obj object, size int) {
	if c.youngSize += size; c.youngSize > generationBytes {
		c.old, c.young, c.youngSize = c.young, map[uint64]object{}, size
	}
	c.young[revision] = obj
}
