package proxy

import (
	"errors"
	"io"
	"os"
	"time"
)

const (
	// bulk is from where on the kernel moves bytes from socket to socket. Below,
	// that costs more than reading and writing them.
	bulk = 32 << 10
	// A lane that was told that there is no more does not look whether that is
	// so where bytes come often: that costs a system call for each time. But that
	// the connection was reset right after them it is not told. So it looks later,
	// once for many.
	often      = 20 * time.Millisecond
	secondLook = 200 * time.Millisecond
)

// lane is one direction of a splice. It has neither a buffer nor a pipe while
// nothing comes, so that idle connections cost little.
type lane struct {
	splice   *splice
	to, from *wire
	up       bool

	chunk *[]byte // what came
	rest  []byte  // what of it could not be passed on at once
	err   error

	busy  time.Duration // until when more is taken to come often, since the splice began
	looks bool          // a second look is due

	step  func(fd uintptr) bool // take, bound once
	offer func(fd uintptr)      // give, bound once
}

func (s *splice) lane(to, from *wire) *lane {
	l := &lane{splice: s, to: to, from: from, up: to == s.server}
	l.step, l.offer = l.take, l.give
	if from.raw != nil {
		from.raw.Control(tellMore)
	}
	return l
}

// pump passes on what comes, until an error, which is io.EOF at the end.
func (l *lane) pump() error {
	for {
		if err := l.hear(); err != nil {
			return err
		}
		full := len(l.rest) == cap(*l.chunk)
		l.splice.pass(l.up)
		_, err := l.to.Write(l.rest)
		l.drop()
		if err != nil {
			return err
		}
		if full {
			if err := l.move(); err != nil {
				return err
			}
		}
	}
}

// hear returns when something has come that is still to be passed on.
func (l *lane) hear() error {
	for {
		err := l.listen()
		switch {
		case l.chunk != nil: // an error comes again
			return nil
		case l.looks && errors.Is(err, os.ErrDeadlineExceeded):
			l.lookNow()
		case err == io.EOF:
			return err
		case err != nil:
			return &readError{err}
		}
	}
}

func (l *lane) listen() error {
	if l.from.raw != nil {
		l.err = nil
		if err := l.from.raw.Read(l.step); err != nil {
			return err
		}
		return l.err
	}
	l.chunk = getBuffer()
	n, err := l.from.Conn.Read(*l.chunk)
	if n == 0 {
		l.drop()
		return err
	}
	l.came(n)
	return nil
}

// came takes note of what is in the chunk, and says whether such comes often.
func (l *lane) came(n int) (again bool) {
	l.rest = (*l.chunk)[:n]
	now := l.splice.note(l.up, l.rest)
	again, l.busy = now < l.busy, now+often
	return again
}

func (l *lane) drop() {
	putBuffer(l.chunk)
	l.chunk, l.rest = nil, nil
}

// move has the kernel move bytes as long as many come.
func (l *lane) move() error {
	for {
		n := l.from.queued()
		if n < bulk {
			return nil
		}
		l.lookNow()
		l.splice.note(l.up, nil)
		l.splice.pass(l.up)
		if _, err := io.CopyN(l.to.Conn, l.from.Conn, int64(n)); err != nil {
			return errors.Join(errMoved, err)
		}
	}
}

func (l *lane) lookLater() {
	if !l.looks {
		l.looks = true
		l.from.SetReadDeadline(time.Now().Add(secondLook))
	}
}

// lookNow has the next read be the second look.
func (l *lane) lookNow() {
	if l.looks {
		l.looks = false
		l.from.patient()
	}
}
