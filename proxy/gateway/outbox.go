package gateway

import (
	"bufio"
	"encoding/json"
	"io"
	"sync"
)

// outbox writes values as lines of JSON, in the order in which they were put,
// without making anybody wait for the other side to read.
type outbox[T any] struct {
	mu      sync.Mutex
	waiting []T
	some    chan struct{} // has a token while something waits
}

func newOutbox[T any]() *outbox[T] { return &outbox[T]{some: make(chan struct{}, 1)} }

func (o *outbox[T]) put(value T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, value)
	select {
	case o.some <- struct{}{}:
	default:
	}
}

// run writes until w fails or over is closed.
func (o *outbox[T]) run(w io.Writer, over <-chan struct{}) error {
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	for {
		select {
		case <-over:
			return nil
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
}
