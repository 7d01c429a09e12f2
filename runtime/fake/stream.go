package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"skiff/runtime/container"
)

const eventBacklog = 1024

type subscription struct {
	queue chan container.Event
	lost  bool
}

// Events reports every change from now on, until ctx ends.
func (e *Engine) Events(ctx context.Context) <-chan container.Event {
	s := &subscription{queue: make(chan container.Event, eventBacklog)}
	e.mu.Lock()
	e.subs[s] = true
	e.mu.Unlock()
	out := make(chan container.Event)
	go func() {
		defer close(out)
		defer func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.subs, s)
		}()
		for {
			select {
			case event := <-s.queue:
				select {
				case out <- event:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// LoseEvents does what a lost connection to the engine does: the events that
// nobody has read yet are gone, and a zero one says so.
func (e *Engine) LoseEvents() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.subs {
		for len(s.queue) > 0 {
			select {
			case <-s.queue:
			default:
			}
		}
		s.put(container.Event{})
	}
}

func (s *subscription) put(event container.Event) {
	if s.lost {
		event = container.Event{}
	}
	select {
	case s.queue <- event:
		s.lost = false
	default:
		s.lost = true
	}
}

// emit tells all who listen. The lock is held.
func (e *Engine) emit(r *record, action string) {
	for s := range e.subs {
		s.put(container.Event{ContainerID: r.ID, Pod: r.Pod, Name: r.Name, Action: action, At: time.Now()})
	}
}

// Exec asks the container's behaviour.
func (e *Engine) Exec(ctx context.Context, id string, cmd []string) ([]byte, int, error) {
	if err := e.begin(ctx, "Exec"); err != nil {
		return nil, 0, err
	}
	e.mu.Lock()
	r, err := e.find(id)
	if err == nil && r.State != container.Running {
		err = fmt.Errorf("exec in container: it does not run: %w", container.ErrConflict)
	}
	e.mu.Unlock()
	if err != nil || r.behaviour.Exec == nil {
		return nil, 0, err
	}
	output, code, err := r.behaviour.Exec(ctx, cmd)
	if ctx.Err() != nil {
		return output, 0, fmt.Errorf("exec in container: %w", ctx.Err())
	}
	return output, code, err
}

// DialContext connects to whatever runs at a Pod's address.
func (e *Engine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := e.begin(ctx, "DialContext"); err != nil {
		return nil, err
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	refused := refusal(network, host, port)
	for _, dial := range e.listening(host) {
		conn, err := dial(ctx, port)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return conn, err
		}
	}
	return nil, refused
}

// listening are the running containers at an address: the one that owns it and
// those which joined that one.
func (e *Engine) listening(host string) []func(context.Context, int) (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []func(context.Context, int) (net.Conn, error)
	for _, r := range e.containers {
		owner := r
		if s := r.spec.Network.Sandbox; s != "" {
			owner = e.containers[s]
		}
		if owner != nil && owner.Address.String() == host && r.State == container.Running && r.behaviour.Dial != nil {
			out = append(out, r.behaviour.Dial)
		}
	}
	return out
}

// refusal is the error that a real dialer gives where nobody listens.
func refusal(network, host string, port int) error {
	ip, _ := netip.ParseAddr(host)
	return &net.OpError{
		Op: "dial", Net: network,
		Addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))),
		Err:  os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}
}

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
