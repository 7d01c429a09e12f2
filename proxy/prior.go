package proxy

import (
	"context"
	"io"
	"time"

	"golang.org/x/net/http2"
)

// askTimeout is how long a back end has to say what it speaks.
const askTimeout = time.Second

// greeting is how a client begins that knows beforehand that the server speaks
// HTTP/2 (RFC 9113, sections 3.3 and 3.4).
var greeting = append([]byte(http2.ClientPreface), 0, 0, 0, byte(http2.FrameSettings), 0, 0, 0, 0, 0)

// question is what a back end is asked: which version of HTTP it speaks.
type question struct {
	done    chan struct{} // closed when the rest is known
	version int           // 0: it did not say
	err     error         // it was not reached
}

// speaksHTTP2 says whether the back end speaks HTTP/2 without TLS, as its Service
// says. That may have meant something else: a second port for HTTP/1 is easily
// called http2. So it is asked, on a connection of its own, until it has once said;
// till then it is taken at the Service's word.
func (u *upstream) speaksHTTP2(ctx context.Context, address string) (bool, error) {
	u.mu.Lock()
	q := u.asked
	first := q == nil
	if first {
		q = &question{done: make(chan struct{})}
		u.asked = q
	}
	u.mu.Unlock()
	if first {
		q.version, q.err = u.ask(context.WithoutCancel(ctx), address) // others wait for it, too
		if q.version == 0 {
			u.mu.Lock()
			u.asked = nil
			u.mu.Unlock()
		}
		close(q.done)
	}
	select {
	case <-q.done:
		return q.version != 1, q.err
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// ask learns which version of HTTP a back end answers in; 0 where it does not say.
// The error is a *reachError.
func (u *upstream) ask(ctx context.Context, address string) (version int, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := u.open(ctx, address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(greeting); err != nil {
		return 0, nil
	}
	var head [9]byte // of a frame
	n, err := io.ReadFull(conn, head[:])
	switch {
	case err == nil && http2.FrameType(head[3]) == http2.FrameSettings && [4]byte(head[5:]) == [4]byte{}:
		return 2, nil
	case n == 0 || ctx.Err() != nil:
		return 0, nil
	}
	return 1, nil // not all of HTTP/1 answers this with a status
}
