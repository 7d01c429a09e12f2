package proxy

import "sync"

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

func getBuffer() *[]byte { return buffers.Get().(*[]byte) }

func putBuffer(b *[]byte) {
	*b = (*b)[:cap(*b)]
	buffers.Put(b)
}

// thrifty reads what comes in parts. It has a buffer only while much comes: an
// event stream or a WebSocket may say little, and nothing for hours.
type thrifty struct {
	from   func(p []byte) (int, error)
	little [1 << 10]byte
	large  *[]byte
	much   bool // the last part would not have been little
}

// next waits for a part, which is good until the next one is asked for.
func (t *thrifty) next() ([]byte, error) {
	switch {
	case t.much && t.large == nil:
		t.large = getBuffer()
	case !t.much:
		t.drop()
	}
	buffer := t.little[:]
	if t.large != nil {
		buffer = *t.large
	}
	n, err := t.from(buffer)
	t.much = n >= len(t.little)
	return buffer[:n], err
}

func (t *thrifty) drop() {
	if t.large != nil {
		putBuffer(t.large)
		t.large = nil
	}
}
