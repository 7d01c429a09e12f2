package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var (
	systemBucket  = []byte("system")  // the revision
	metaBucket    = []byte("meta")    // what SetMeta keeps
	objectsBucket = []byte("objects") // one bucket per storage
	revisionKey   = []byte("revision")
)

const (
	lockTimeout = 500 * time.Millisecond
	// Mapped ahead of need: growing the map waits for open read transactions
	// and would make writes wait for lists. It costs address space only.
	initialMap = 256 << 20
)

// Open opens the store at path, and makes an empty one where there is no file.
// A file that is no store, or a damaged one, is left as it is.
func Open(path string) (*Store, error) {
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	revision, err := prepare(db)
	if err != nil {
		return nil, errors.Join(unusable(path, err), db.Close())
	}
	s := &Store{
		db:        db,
		path:      path,
		writes:    make(chan *write),
		stopped:   make(chan struct{}),
		closed:    make(chan struct{}),
		revision:  revision,
		openedAt:  revision,
		histories: map[string]*history{},
	}
	s.published = sync.NewCond(&s.mu)
	s.close = sync.OnceValue(func() error {
		close(s.closed)
		if err := db.Close(); err != nil {
			return fmt.Errorf("close store %s: %w", path, err)
		}
		return nil
	})
	return s, nil
}

func openFile(path string) (db *bolt.DB, err error) {
	var file *os.File
	options := *bolt.DefaultOptions
	options.Timeout = lockTimeout
	options.InitialMmapSize = initialMap
	options.FreelistType = bolt.FreelistMapType
	// The free list is written with each commit (the default): without it bbolt
	// walks the file at open, in a goroutine whose panics cannot be caught.
	options.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		file = f
		return f, err
	}
	// A damaged file makes bbolt panic, and a page beyond the end of a
	// truncated one faults.
	err = guard(func() error {
		db, err = bolt.Open(path, 0o600, &options)
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("open store %s: %w", path, ErrLocked)
	}
	if file != nil {
		_ = file.Close() // after a panic bbolt still holds the lock through it
	}
	return nil, unusable(path, err)
}

// prepare checks the whole file, makes what a new one lacks, and returns the
// revision of the last write.
func prepare(db *bolt.DB) (revision uint64, err error) {
	err = guard(func() error {
		if err := check(db); err != nil {
			return err
		}
		fresh := false
		if err := db.View(func(tx *bolt.Tx) error {
			fresh = tx.Bucket(systemBucket) == nil
			if name, _ := tx.Cursor().First(); fresh && name != nil {
				return errors.New("it holds another program's data")
			}
			return nil
		}); err != nil {
			return err
		}
		if fresh {
			if err := initialise(db); err != nil {
				return err
			}
		}
		return db.View(func(tx *bolt.Tx) error {
			revision, err = readRevision(tx)
			return err
		})
	})
	return revision, err
}

// initialise writes revision 1, so that no object ever has revision 0, which
// has a meaning of its own in requests.
func initialise(db *bolt.DB) error {
	return db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{systemBucket, metaBucket, objectsBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return writeRevision(tx, 1)
	})
}

// unusable tells what the system refuses, as on a full disk, from what is wrong
// with the file.
func unusable(path string, err error) error {
	if refused := new(os.PathError); errors.As(err, &refused) {
		return fmt.Errorf("open store: %w", err)
	}
	return fmt.Errorf("open store %s: %w (%v): move the file away to start empty, or put a backup in its place", path, ErrDamaged, err)
}

// guard turns a panic or a memory fault inside f into an error.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return f()
}

func readRevision(tx *bolt.Tx) (uint64, error) {
	bucket := tx.Bucket(systemBucket)
	if bucket == nil || tx.Bucket(metaBucket) == nil || tx.Bucket(objectsBucket) == nil {
		return 0, errors.New("a part is missing")
	}
	value := bucket.Get(revisionKey)
	if len(value) != 8 {
		return 0, errors.New("the revision is missing")
	}
	return binary.BigEndian.Uint64(value), nil
}

func writeRevision(tx *bolt.Tx, revision uint64) error {
	return tx.Bucket(systemBucket).Put(revisionKey, binary.BigEndian.AppendUint64(nil, revision))
}
