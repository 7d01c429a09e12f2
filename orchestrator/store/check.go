package store

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"

	bolt "go.etcd.io/bbolt"
)

// check reads the whole file: every entry's checksum, then the pages that no
// entry lies in. The size comes first and bbolt's own check last, because that
// runs in a goroutine where a wild pointer could not be caught; by then every
// pointer it follows has been followed once.
func check(db *bolt.DB) error {
	return db.View(func(tx *bolt.Tx) error {
		info, err := os.Stat(db.Path())
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("it has %d bytes and should have at least %d", info.Size(), tx.Size())
		}
		if err := checkPages(tx, int(tx.Size())/db.Info().PageSize); err != nil {
			return err
		}
		if err := tx.ForEach(checkBucket); err != nil {
			return err
		}
		var first error
		for err := range tx.Check() { // to the end: its goroutine must not be left
			if first == nil {
				first = err
			}
		}
		return first
	})
}

// checkPages reads the head of every page in use.
func checkPages(tx *bolt.Tx, pages int) error {
	for id := 0; id < pages; id++ {
		page, err := tx.Page(id)
		if err != nil {
			return err
		}
		switch page.Type {
		case "free":
			continue
		case "meta", "branch", "leaf", "freelist":
		default:
			return fmt.Errorf("page %d is of no known type", id)
		}
		if page.OverflowCount < 0 || page.OverflowCount >= pages-id {
			return fmt.Errorf("page %d reaches beyond the end", id)
		}
		id += page.OverflowCount
	}
	return nil
}

// checkBucket reads every key and value, and checks those of objects.
func checkBucket(name []byte, bucket *bolt.Bucket) error {
	objects := bytes.Equal(name, objectsBucket)
	var previous []byte
	return bucket.ForEach(func(key, value []byte) error {
		if previous != nil && bytes.Compare(previous, key) >= 0 {
			return fmt.Errorf("its keys are out of order at %.100q", key)
		}
		previous = key
		switch {
		case value == nil && objects:
			return checkObjects(bucket.Bucket(key), key)
		case value == nil:
			return fmt.Errorf("it has an unknown part %.100q", key)
		}
		_ = crc32.ChecksumIEEE(value)
		return nil
	})
}

func checkObjects(bucket *bolt.Bucket, storage []byte) error {
	var previous []byte
	return bucket.ForEach(func(path, raw []byte) error {
		if previous != nil && bytes.Compare(previous, path) >= 0 {
			return fmt.Errorf("its keys are out of order at %.100q", path)
		}
		previous = path
		_, err := decodeEntry(Key{Storage: string(storage)}, path, raw)
		return err
	})
}
