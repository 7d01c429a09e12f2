package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"skiff/proxy/accept"
	"skiff/proxy/http1"
	"skiff/proxy/pool"
)

// maxInterim bounds the 1xx answers to one request.
const maxInterim = 100

// answer passes on what the back end says, of which n bytes have come. It says
// whether the back end's connection can carry another request.
func (t *trip) answer(conn *backConn, n int) (reusable bool, err error) {
	d := &download{conn: conn, buf: t.out.in, w: n}
	res := &t.out.res
	for interim := 0; ; interim++ {
		if err := d.head(res); err != nil {
			return false, blameBackEnd(err)
		}
		t.out.in = d.buf
		switch {
		case res.Status < 100, res.Status == http.StatusSwitchingProtocols, interim == maxInterim:
			return false, statusError(res)
		case res.Status >= 200:
			return t.final(d)
		}
		if err := t.interim(); err != nil {
			return false, err
		}
	}
}

func statusError(res *http1.Response) error {
	return fmt.Errorf("answer with status \"%03d %s\"", res.Status, res.Reason)
}

// blameBackEnd keeps a malformed answer from looking like a malformed request.
func blameBackEnd(err error) error {
	var refusal *http1.Refusal
	if errors.As(err, &refusal) {
		return errors.New("malformed answer: " + refusal.Reason)
	}
	return err
}

// interim passes a 1xx answer on to a client that knows of such.
func (t *trip) interim() error {
	if t.in.req.Minor == 0 {
		return nil
	}
	t.begun = true
	_, err := t.Write(t.appendAnswer(nil, noBody))
	return toClient(err)
}

func toClient(err error) error {
	if err != nil {
		return &clientError{err}
	}
	return nil
}

// final passes on the answer that the request was made for.
func (t *trip) final(d *download) (reusable bool, err error) {
	res, r := &t.out.res, &t.in.req
	how := byChunks
	switch {
	case res.Bodiless(r.Method), !res.Chunked && res.Length == 0:
		how = noBody
	case res.Length > 0:
		how = byLength
	case r.Minor == 0:
		how = byClose
	}
	d.of(res, how)
	t.keep = t.keep && how != byClose && t.body.ended.Load() && !t.listener.parting()
	t.begun, t.answered = true, true
	closes := res.Close
	t.out.out = t.appendAnswer(t.out.out[:0], how)
	switch {
	case how != noBody && res.Events:
		err = t.passEvents(d, how)
	default:
		err = t.pass(d, how)
	}
	if err != nil && how == byClose {
		t.reset() // the end of the connection would be that of the answer
	}
	err = blameBackEnd(err)
	return err == nil && !closes && d.over && d.r == d.w && (d.coded || d.left >= 0), err
}

// pass sends the answer: a small one of known length in one write, and of others
// each part as soon as it has come.
func (t *trip) pass(d *download, how framing) error {
	whole := how == byLength && d.left <= int64(cap(t.out.out)-len(t.out.out)-minRead)
	for out := t.out.out; ; out = out[:0] {
		for cap(out)-len(out) >= minRead {
			at, end := len(out), cap(out)-chunkTailBytes
			if how == byChunks {
				at += chunkHeadBytes
				end = min(end, at+maxChunk) // a large request has left a large buffer
			}
			n, err := d.read(out[at:end], len(out) == 0 || whole)
			waited := len(out) == 0
			out = out[:at+n]
			if how == byChunks {
				out = closeChunk(out, at-chunkHeadBytes)
			}
			if err == io.EOF {
				if how == byChunks {
					if out, err = appendLastChunk(out, &d.chunks); err != nil && err != io.EOF {
						return err
					}
				}
				write := t.Write
				if !t.keep && t.body.ended.Load() {
					write = t.WriteLast
				}
				_, err := write(out)
				return toClient(err)
			}
			if err != nil {
				t.Write(out)
				return err
			}
			if n == 0 || waited {
				break
			}
		}
		if _, err := t.Write(out); err != nil {
			return toClient(err)
		}
		if how == byLength && d.left >= bulk {
			if err := t.move(d); err != nil {
				return err
			}
		}
	}
}

const (
	modestBytes    = 4 << 10
	minRead        = 4 << 10
	chunkTailBytes = 2
)

// move lets the kernel move a large body from socket to socket.
func (t *trip) move(d *download) error {
	from, ok := d.conn.socket()
	to, ok2 := accept.Socket(t.Conn)
	if !ok || !ok2 {
		return nil
	}
	n, err := io.CopyN(to, from, d.left)
	d.left -= n
	switch {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err != nil && t.broken(): // it does not say whose error it is
		return &clientError{err}
	}
	return err
}

// modest has the trip go on with small buffers, as long as its answer may last.
// Of the head only the status is kept.
func (t *trip) modest(d *download) {
	rest, status := d.buf[d.r:d.w], t.out.res.Status
	small := &outbound{out: make([]byte, 0, modestBytes), in: make([]byte, max(modestBytes, len(rest)))}
	small.res.Status = status
	d.buf, d.r, d.w = small.in, 0, copy(small.in, rest)
	t.letGo()
	t.out = small
}

// passEvents sends server-sent events as they come, and can end between two.
func (t *trip) passEvents(d *download, how framing) error {
	if _, err := t.Write(t.out.out); err != nil {
		return toClient(err)
	}
	t.modest(d)
	events := &stream{tracker: &eventTracker{}, cancel: func(error) { d.conn.Close() }}
	t.mu.Lock()
	t.events = events
	t.mu.Unlock()
	t.claim.Stream(pool.Events, nil)
	t.claim.Answered(t.out.res.Status)
	write := func(chunk []byte) error {
		if how == byChunks {
			out := append(t.out.out[:0], "0000\r\n"...)
			chunk = closeChunk(append(out, chunk...), 0)
		}
		_, err := t.Write(chunk)
		return err
	}
	parts := thrifty{from: func(p []byte) (int, error) { return d.read(p, true) }}
	defer parts.drop()
	for {
		part, err := parts.next()
		ended, werr := events.pass(write, part)
		switch {
		case werr != nil:
			return toClient(werr)
		case ended, err == io.EOF:
			if ended {
				t.claim.Clean()
			}
			if how != byChunks {
				t.keep = t.keep && !ended // only that ends a body that is shorter than was said
				return nil
			}
			out, _ := appendLastChunk(t.out.out[:0], &d.chunks)
			_, err := t.Write(out)
			return toClient(err)
		case err != nil:
			if !t.isCut() {
				t.claim.Broke()
			}
			return err
		}
	}
}
