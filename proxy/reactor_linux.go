package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// reactor moves what clients and back ends say to each other over TCP, for many
// pairs of sockets, from one goroutine that waits for all of them. That costs less
// than two goroutines for each pair, which the scheduler has to find and which
// have to ask a socket once more whether it is empty: here what the kernel told of
// it is at hand. All but post is for that goroutine alone.
type reactor struct {
	epoll, bell int
	sockets     []*socket // by descriptor, so that they are found without looking
	chunk       []byte
	pipe        *pipe        // for what the kernel moves; nil: none is free
	unfinished  []*direction // had their turn, and there is more
	now         time.Time

	mu    sync.Mutex
	inbox []func() // guarded by mu
	over  bool     // guarded by mu: nobody looks into it any more
}

const (
	// chunkSize is what is read at once; where more comes the kernel moves it.
	chunkSize = 64 << 10
	pipeSize  = 256 << 10
	// share is how much a direction passes on before the others have their turn.
	share = chunkSize
	// eventsAtOnce: the first of them wait while the others are looked at.
	eventsAtOnce = 64
	// stint is how long the goroutine goes on before it yields by itself. One that
	// runs for ten milliseconds the scheduler interrupts, and takes its processor
	// away if it finds it in a system call, however short.
	stint = 8 * time.Millisecond
)

func newReactor() (*reactor, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create eventfd: %w", err), unix.Close(epoll))
	}
	r := &reactor{epoll: epoll, bell: bell, chunk: make([]byte, chunkSize)}
	if err := r.watch(bell, unix.EPOLLIN); err != nil {
		return nil, errors.Join(err, unix.Close(epoll), unix.Close(bell))
	}
	return r, nil
}

// add has the reactor told of all that happens to a socket, each time once.
func (r *reactor) add(s *socket) error {
	if more := s.fd + 1 - len(r.sockets); more > 0 {
		r.sockets = append(r.sockets, make([]*socket, more)...)
	}
	r.sockets[s.fd] = s
	return r.watch(s.fd, unix.EPOLLIN|unix.EPOLLPRI|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

// drop has it told of nothing more, though a child that is being started may still
// have the socket.
func (r *reactor) drop(s *socket) {
	if s.fd < len(r.sockets) && r.sockets[s.fd] == s {
		r.sockets[s.fd] = nil
		unix.EpollCtl(r.epoll, unix.EPOLL_CTL_DEL, s.fd, nil)
	}
}

func (r *reactor) watch(fd int, events uint32) error {
	err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("watch a socket: %w", err)
	}
	return nil
}

// run serves until ctx ends, and then cuts what is left.
func (r *reactor) run(ctx context.Context) {
	ended := false
	stop := context.AfterFunc(ctx, func() { r.post(func() { ended = true }) })
	defer stop()
	defer r.close()
	var events [eventsAtOnce]unix.EpollEvent
	var yielded time.Time
	for !ended {
		patience := -1
		if len(r.unfinished) > 0 {
			patience = 0
		}
		n, err := unix.EpollWait(r.epoll, events[:], patience)
		if err != nil && err != unix.EINTR {
			panic(fmt.Sprintf("wait for sockets: %v", err)) // it is none, or events are no memory
		}
		if r.now = time.Now(); r.now.Sub(yielded) > stint {
			yielded = r.now
			runtime.Gosched()
		}
		rung := false
		for _, e := range events[:max(n, 0)] {
			if e.Fd == int32(r.bell) {
				rung = true
			} else if s := r.sockets[e.Fd]; s != nil { // else it was closed just now
				s.happened(e.Events)
			}
		}
		turns := r.unfinished
		r.unfinished = nil
		for _, d := range turns {
			d.queued = false
			d.flow()
		}
		if rung {
			r.empty()
		}
	}
}

// post has f called by the reactor's goroutine, after what it is at. It is not
// if the reactor is over.
func (r *reactor) post(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	if r.inbox = append(r.inbox, f); len(r.inbox) == 1 {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		unix.Write(r.bell, one[:]) // fails only where it has rung four billion times
	}
	return true
}

func (r *reactor) empty() {
	var count [8]byte
	unix.Read(r.bell, count[:])
	r.mu.Lock()
	all := r.inbox
	r.inbox = nil
	r.mu.Unlock()
	for _, f := range all {
		f()
	}
}

func (r *reactor) close() {
	r.mu.Lock()
	r.over = true
	left := r.inbox
	r.mu.Unlock()
	for _, f := range left {
		f()
	}
	for _, s := range r.sockets {
		if s != nil {
			s.pair.cut()
		}
	}
	if r.pipe != nil {
		r.pipe.close()
	}
	unix.Close(r.epoll)
	unix.Close(r.bell)
}

// pipe is where the kernel keeps what it moves from socket to socket.
type pipe struct{ in, out, holds int }

func newPipe() (*pipe, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	unix.FcntlInt(uintptr(ends[0]), unix.F_SETPIPE_SZ, pipeSize) // or it stays at the system's own
	return &pipe{out: ends[0], in: ends[1]}, nil
}

func (p *pipe) close() {
	unix.Close(p.in)
	unix.Close(p.out)
}
