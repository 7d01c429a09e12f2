package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// An entry on disk is: checksum of path and rest, created, modified, value.
const entryHeader = 4 + 8 + 8

var checksums = crc32.MakeTable(crc32.Castagnoli)

func encodeEntry(path []byte, e Event) []byte {
	raw := make([]byte, 4, entryHeader+len(e.Value))
	raw = binary.BigEndian.AppendUint64(raw, e.Created)
	raw = binary.BigEndian.AppendUint64(raw, e.Revision)
	raw = append(raw, e.Value...)
	binary.BigEndian.PutUint32(raw, checksum(path, raw[4:]))
	return raw
}

// decodeEntry reads an entry in place: its value lies in the transaction's
// memory and must be copied before that ends.
func decodeEntry(key Key, path, raw []byte) (Entry, error) {
	if len(raw) < entryHeader || binary.BigEndian.Uint32(raw) != checksum(path, raw[4:]) {
		return Entry{}, fmt.Errorf("read %s %.300q: %w", key.Storage, path, ErrDamaged)
	}
	return Entry{
		Key:      key,
		Created:  binary.BigEndian.Uint64(raw[4:]),
		Modified: binary.BigEndian.Uint64(raw[12:]),
		Value:    raw[entryHeader:],
	}, nil
}

func checksum(path, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(path, checksums), checksums, rest)
}

// arena copies many values with few allocations. What it gives out lives as
// long as the longest of its neighbours.
type arena struct{ free []byte }

const arenaChunk = 64 << 10

func (a *arena) clone(value []byte) []byte {
	if len(value) > len(a.free) {
		a.free = make([]byte, max(arenaChunk, len(value)))
	}
	copied := a.free[:len(value):len(value)]
	a.free = a.free[len(value):]
	copy(copied, value)
	return copied
}
