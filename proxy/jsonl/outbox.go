package jsonl

import (
	"bufio"
	"encoding/json"
	"io"
	"sync"
)

// Outbox writes values in the order in which they were put, without making
// anybody wait for the other side to read.
type Outbox[T any] struct {
	mu      sync.Mutex
	waiting []T
	some    chan struct{} // has a token while something waits
}

// NewOutbox makes an empty one.
func NewOutbox[T any]() *Outbox[T] { return &Outbox[T]{some: make(chan struct{}, 1)} }

// Put has a value written.
func (o *Outbox[T]) Put(value T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, value)
	select {
	case o.some <- struct{}{}:
	default:
	}
}

// Run writes until w fails, or over is closed and all is written that was put
// before.
func (o *Outbox[T]) Run(w io.Writer, over <-chan struct{}) error {
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	for last := false; !last; {
		select {
		case <-over:
			last = true
		case <-o.some:
		}
		o.mu.Lock()
		batch := o.waiting
		o.waiting = nil
		o.mu.Unlock()
		for _, value := range batch {
			if err := encoder.Encode(value); err != nil {
				return err
			}
		}
		if err := buffered.Flush(); err != nil {
			return err
		}
	}
	return nil
}
