package fake

import (
	"context"
	"io"
	"time"

	"skiff/runtime/container"
)

// Print lets a container write a line.
func (e *Engine) Print(id, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.containers[id]; r != nil {
		r.print(text)
	}
}

func (r *record) print(text string) {
	r.log = append(r.log, line{time.Now(), text})
	r.wake()
}

// wake lets those who follow the log look again. The engine's lock is held.
func (r *record) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Logs reads what the container wrote.
func (e *Engine) Logs(ctx context.Context, id string, o container.LogOptions) (io.ReadCloser, error) {
	if err := e.begin(ctx, "Logs"); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.find(id)
	if err != nil {
		return nil, err
	}
	l := &logReader{engine: e, record: r, options: o, closed: make(chan struct{}), ctx: ctx}
	for l.next < len(r.log) && r.log[l.next].at.Before(o.Since) {
		l.next++
	}
	if o.Tail >= 0 {
		l.next = max(l.next, len(r.log)-int(o.Tail))
	}
	return l, nil
}

type logReader struct {
	engine  *Engine
	record  *record
	options container.LogOptions
	ctx     context.Context // of the call that opened it
	closed  chan struct{}
	next    int    // line
	pending []byte // of the line before
}

func (l *logReader) Read(p []byte) (int, error) {
	for len(l.pending) == 0 {
		changed, more := l.advance()
		if !more {
			return 0, io.EOF
		}
		if changed == nil {
			break
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			return 0, l.ctx.Err()
		case <-l.closed:
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(p, l.pending)
	l.pending = l.pending[n:]
	return n, nil
}

// advance takes the next line, or says what to wait for, or that no more come.
func (l *logReader) advance() (changed <-chan struct{}, more bool) {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	r := l.record
	if l.next < len(r.log) {
		entry := r.log[l.next]
		l.next++
		if l.options.Timestamps {
			l.pending = append(entry.at.UTC().AppendFormat(nil, time.RFC3339Nano), ' ')
		}
		l.pending = append(append(l.pending, entry.text...), '\n')
		return nil, true
	}
	return r.changed, l.options.Follow && !r.done
}

func (l *logReader) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}
