package proxy

import (
	"errors"
	"io"
	"time"
)

// bulk is from where on the kernel moves bytes from socket to socket. Below,
// that costs more than reading and writing them.
const bulk = 32 << 10

// lane is one direction of a splice. It has neither a buffer nor a pipe while
// nothing comes, so that idle connections cost little.
type lane struct {
	splice   *splice
	to, from *wire
	up       bool

	chunk *[]byte // what came
	rest  []byte  // what of it could not be passed on at once
	err   error

	step  func(fd uintptr) bool // take, bound once
	offer func(fd uintptr)      // give, bound once
}

func (s *splice) lane(to, from *wire) *lane {
	l := &lane{splice: s, to: to, from: from, up: to == s.server}
	l.step, l.offer = l.take, l.give
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

func (l *lane) came(n int) {
	l.rest = (*l.chunk)[:n]
	l.splice.note(time.Now(), l.up, l.rest)
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
		l.splice.note(time.Now(), l.up, nil)
		l.splice.pass(l.up)
		if _, err := io.CopyN(l.to.Conn, l.from.Conn, int64(n)); err != nil {
			return errors.Join(errMoved, err)
		}
	}
}
