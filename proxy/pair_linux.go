package proxy

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pair is two sockets that a reactor joins.
type pair struct {
	conversation
	reactor  *reactor
	up, down direction
	held     atomic.Bool // what the client sends
	closing  atomic.Bool
	broken   atomic.Bool // by the back end
	ended    chan struct{}

	mu     sync.Mutex // held while closed changes, and while others use the client's socket
	closed bool
}

// socket is one of a pair's. The reactor is told of what happens there once, so
// it keeps in mind what that was.
type socket struct {
	fd       int
	pair     *pair
	readable bool // there may be something to read
	doubtful bool // and even after a read that has not filled its buffer: the end, or, ever after, what follows urgent data
}

// direction is one of a pair's two.
type direction struct {
	pair     *pair
	from, to *socket
	rest     []byte // what there was no room for
	pipe     *pipe  // the same where the kernel moves it, or nil
	much     bool   // comes, which the kernel may move
	over     bool   // the end has been passed on
	queued   bool   // for its next turn
}

// newPair takes the two connections' sockets away from the runtime's poller,
// which would be told of all that happens there as well; the connections are
// closed. Without an error the pair is to be run.
func newPair(r *reactor, client, server net.Conn) (*pair, error) {
	p := &pair{reactor: r, ended: make(chan struct{})}
	p.who, p.started = addressOf(client.RemoteAddr()), time.Now()
	theirs, err := detach(client)
	if err != nil {
		return nil, err
	}
	back, err := detach(server)
	if err != nil {
		unix.Close(theirs)
		return nil, err
	}
	client.Close()
	server.Close()
	c, s := &socket{fd: theirs, pair: p}, &socket{fd: back, pair: p}
	p.up, p.down = direction{pair: p, from: c, to: s}, direction{pair: p, from: s, to: c}
	return p, nil
}

var errNoSocket = errors.New("the connection is no socket of this system")

// detach is another descriptor of a connection's socket.
func detach(conn net.Conn) (fd int, err error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return 0, errNoSocket
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(of uintptr) { fd, failed = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = failed
	}
	return fd, err
}

// run returns when both sockets are closed.
func (p *pair) run() {
	if !p.reactor.post(p.begin) {
		p.shut()
	}
	<-p.ended
}

func (p *pair) begin() {
	if p.closed { // before it began
		return
	}
	if p.reactor.add(p.up.from) != nil || p.reactor.add(p.down.from) != nil {
		p.cut()
	}
}

// happened is called with what the kernel tells of a socket.
func (s *socket) happened(events uint32) {
	const end = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if events&(unix.EPOLLIN|end) != 0 {
		s.readable = true
	}
	if events&(unix.EPOLLPRI|end) != 0 {
		s.doubtful = true
	}
	from, to := &s.pair.up, &s.pair.down
	if from.from != s {
		from, to = to, from
	}
	// After its end no read tells that the client is gone. A back end may be gone
	// as well then: what it has said is still on its way.
	if events&unix.EPOLLERR != 0 && from.over && from == &s.pair.up {
		s.pair.fail(false)
		return
	}
	from.flow()
	if events&unix.EPOLLOUT != 0 && to.waits() {
		to.flow()
	}
}

// waits says whether there is something for which there was no room.
func (d *direction) waits() bool { return len(d.rest) > 0 || d.pipe != nil }

// flow passes on what there is, until the one side has no more, or the other
// one no room, or others are to have their turn.
func (d *direction) flow() {
	if d.queued {
		return
	}
	p := d.pair
	for passed := 0; !p.closed; {
		switch {
		case d.waits():
			if !d.deliver() {
				return
			}
			continue
		case d.over || !d.from.readable || d.isHeld():
			return
		case passed >= share:
			d.queued = true
			p.reactor.unfinished = append(p.reactor.unfinished, d)
			return
		}
		step := d.pass
		if d.much {
			step = d.move
		}
		n, ok := step()
		if !ok {
			return
		}
		passed += n
	}
}

// isHeld says whether what the client sends is to be held back, and it has sent
// something. Its end may pass: a drain waits for that while it holds. Before the
// connections are closed nothing begins any more.
func (d *direction) isHeld() bool {
	p := d.pair
	if d != &p.up || !p.held.Load() && !p.closing.Load() {
		return false
	}
	if queue(d.from.fd, unix.TIOCINQ) > 0 {
		p.heldBack.Store(true)
		return true
	}
	return !d.from.doubtful
}

// pass reads and writes once, and says how much, and whether that was all right
// and there may be more.
func (d *direction) pass() (n int, ok bool) {
	p, chunk := d.pair, d.pair.reactor.chunk
	n, err := readNow(uintptr(d.from.fd), chunk)
	switch {
	case err == unix.EAGAIN:
		d.from.readable = false
		return 0, false
	case err != nil:
		p.fail(d == &p.down)
		return 0, false
	case n == 0:
		d.end()
		return 0, false
	}
	p.note(p.reactor.now, d == &p.up, chunk[:n])
	if n < len(chunk) && !d.from.doubtful {
		d.from.readable = false // what comes from here on is told of
	}
	d.much = n == len(chunk)
	rest, ok := d.write(chunk[:n])
	d.rest = bytes.Clone(rest)
	return n, ok && len(rest) == 0
}

// write passes p on, and gives what there is no room for: there is an event once
// there is.
func (d *direction) write(p []byte) (rest []byte, ok bool) {
	n, err := writeNow(uintptr(d.to.fd), p)
	if err != nil && err != unix.EAGAIN {
		d.pair.fail(d == &d.pair.up)
		return nil, false
	}
	return p[n:], true
}

// deliver passes on what is left, and says whether that was all.
func (d *direction) deliver() (all bool) {
	if d.pipe != nil {
		return d.drain()
	}
	d.rest, all = d.write(d.rest)
	return all && len(d.rest) == 0
}

// move has the kernel move what there is once, where that is much. It says how
// much, and whether that was all right and there may be more.
func (d *direction) move() (moved int, ok bool) {
	d.much = false
	n := queue(d.from.fd, unix.TIOCINQ)
	if n < bulk {
		return 0, true
	}
	var err error
	r := d.pair.reactor
	if r.pipe == nil {
		if r.pipe, err = newPipe(); err != nil {
			return 0, true // there are no descriptors: it is read and written
		}
	}
	d.pipe, r.pipe = r.pipe, nil
	taken, err := unix.Splice(d.from.fd, nil, d.pipe.in, nil, n, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	if err != nil || taken <= 0 { // reading will tell
		d.giveBack()
		return 0, true
	}
	d.much, d.pipe.holds = true, int(taken)
	d.pair.note(r.now, d == &d.pair.up, nil)
	return int(taken), d.drain()
}

// drain passes on what is in the pipe, and says whether that was all.
func (d *direction) drain() bool {
	for d.pipe.holds > 0 {
		n, err := unix.Splice(d.pipe.out, nil, d.to.fd, nil, d.pipe.holds, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		switch {
		case err == unix.EAGAIN:
			return false
		case err == unix.EINTR:
		case err != nil || n == 0:
			d.pair.fail(d == &d.pair.up)
			return false
		default:
			d.pipe.holds -= int(n)
		}
	}
	d.giveBack()
	return true
}

func (d *direction) giveBack() {
	r := d.pair.reactor
	if r.pipe == nil && d.pipe.holds == 0 {
		r.pipe = d.pipe
	} else {
		d.pipe.close()
	}
	d.pipe = nil
}

// end passes the end of one direction on, and leaves the other one alone: a
// client may well say all it has to say and then wait for the answer.
func (d *direction) end() {
	p := d.pair
	d.over = true
	if err := unix.Shutdown(d.to.fd, unix.SHUT_WR); err != nil || p.up.over && p.down.over {
		p.cut()
	}
}

// fail is the end by an error. The other side is told that it is no end in order,
// unless what came before is still on its way there.
func (p *pair) fail(byServer bool) {
	if byServer && !p.closing.Load() {
		p.broken.Store(true)
	}
	for _, d := range []*direction{&p.up, &p.down} {
		if !d.over && queue(d.to.fd, unix.TIOCOUTQ) == 0 {
			d.to.reset()
		}
	}
	p.cut()
}

// reset has the other end find the connection broken, and not ended, when it is
// closed.
func (s *socket) reset() {
	unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// cut ends the pair, on the reactor's goroutine.
func (p *pair) cut() {
	if p.closed {
		return
	}
	for _, d := range []*direction{&p.up, &p.down} {
		p.reactor.drop(d.from)
		if d.pipe != nil {
			d.giveBack()
		}
		d.rest = nil
	}
	p.shut()
}

// shut closes both sockets, once.
func (p *pair) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	unix.Close(p.up.from.fd)
	unix.Close(p.down.from.fd)
	close(p.ended)
}

func (p *pair) brokenOff() bool { return p.broken.Load() }

// Hold keeps back what the client sends.
func (p *pair) Hold() { p.held.Store(true) }

// Resume lets it go on.
func (p *pair) Resume() {
	p.held.Store(false)
	p.reactor.post(func() {
		p.heldBack.Store(false)
		p.up.flow()
	})
}

// Unread says whether the client has sent something that is still in its socket.
func (p *pair) Unread() bool {
	return p.ask(func() bool { return queue(p.up.from.fd, unix.TIOCINQ) > 0 })
}

// Untaken says whether the client has yet to take something that the back end has
// sent. While there is no room for it, the client's socket is full.
func (p *pair) Untaken() bool {
	return p.ask(func() bool {
		return queue(p.up.from.fd, unix.TIOCOUTQ) > 0 || queue(p.down.from.fd, unix.TIOCINQ) > 0
	})
}

// ask looks at the sockets; what is closed has nothing to say.
func (p *pair) ask(holds func() bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.closed && holds()
}

// Close cuts both connections, soon.
func (p *pair) Close() {
	p.closing.Store(true)
	p.reactor.post(p.cut)
}

// abort cuts them, soon, with a reset where something is under way.
func (p *pair) abort() {
	p.closing.Store(true)
	p.reactor.post(func() {
		if !p.closed && (p.Rest().Waiting || p.Unread() || p.Untaken()) {
			p.up.to.reset()
			p.down.to.reset()
		}
		p.cut()
	})
}
