// Package jsonl carries values between processes, one line of JSON each.
package jsonl

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// Reader reads one value after the other.
type Reader[T any] struct{ scanner *bufio.Scanner }

// NewReader reads from r, whose lines may have that many bytes.
func NewReader[T any](r io.Reader, longest int) Reader[T] {
	s := bufio.NewScanner(r)
	s.Buffer(nil, longest)
	return Reader[T]{s}
}

// Next waits for a value. The error after the last one is io.EOF.
func (r Reader[T]) Next() (value T, err error) {
	if !r.scanner.Scan() {
		if err = r.scanner.Err(); err == nil {
			err = io.EOF
		}
		return value, err
	}
	if err := json.Unmarshal(r.scanner.Bytes(), &value); err != nil {
		return value, fmt.Errorf("read message: %w", err)
	}
	return value, nil
}
