package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"skiff/proxy/accept"
	"skiff/proxy/http1"
)

// upload is the body of a request on its way to the back end: what came with
// the head goes with the head, and the rest as it comes.
type upload struct {
	length   int64 // what is left of a body of known length
	chunked  bool
	chunks   http1.Chunks
	bodiless bool
	ended    atomic.Bool // the last of it is being sent, or has been
	rest     []byte      // what was read behind it
	failure  error       // the client's doing
}

func (u *upload) begin(r *http1.Request) {
	u.length, u.chunked, u.chunks = max(0, r.Length), r.Chunked, http1.Chunks{}
	u.rest, u.failure = nil, nil
	u.ended.Store(!r.HasBody())
	u.bodiless = !r.HasBody()
}

// none: the request has no body.
func (u *upload) none() bool { return u.bodiless }

// blame puts the client's fault before the failure that came of it.
func (u *upload) blame(err error) error {
	if err != nil && u.failure != nil {
		return errors.Join(u.failure, err)
	}
	return err
}

const (
	chunkHeadBytes = 6         // four digits and CR LF
	maxChunk       = 1<<16 - 1 // four digits
)

// begun puts what has come of the body behind the head in out.
func (u *upload) begun(out []byte, in *inbound) ([]byte, error) {
	if !u.chunked {
		n := int(min(u.length, int64(in.w-in.r)))
		out = append(out, in.buf[in.r:in.r+n]...)
		u.took(n)
		in.r += n
		return out, nil
	}
	for in.r < in.w && !u.ended.Load() {
		at := len(out)
		out = append(out, "0000\r\n"...)
		out = append(out, in.buf[in.r:min(in.w, in.r+maxChunk)]...)
		n, used, err := u.chunks.Decode(out[at+chunkHeadBytes:], out[at+chunkHeadBytes:])
		in.r += used
		out = closeChunk(out[:at+chunkHeadBytes+n], at)
		if err == io.EOF {
			out, err = u.lastChunk(out)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func (u *upload) took(n int) {
	u.length -= int64(n)
	u.ended.Store(u.length == 0)
}

func (u *upload) lastChunk(out []byte) ([]byte, error) {
	u.ended.Store(true)
	return appendLastChunk(out, &u.chunks)
}

// closeChunk completes the chunk that begins at a place in out where there is
// room for its head. An empty one would end the body, and is taken back.
func closeChunk(out []byte, at int) []byte {
	n := len(out) - at - chunkHeadBytes
	if n == 0 {
		return out[:at]
	}
	const digits = "0123456789abcdef"
	for i := range 4 {
		out[at+i] = digits[n>>(12-4*i)&15]
	}
	out[at+4], out[at+5] = '\r', '\n'
	return append(out, '\r', '\n')
}

// appendLastChunk ends a body, with the trailer that ended the one before.
func appendLastChunk(out []byte, chunks *http1.Chunks) ([]byte, error) {
	out = append(out, "0\r\n"...)
	trailer, err := chunks.Trailer()
	for i := range trailer {
		out = appendField(out, &trailer[i])
	}
	return append(out, '\r', '\n'), err
}

// send sends what is still to come. Only the client's failures are errors: the
// back end's show where its answer is read.
func (u *upload) send(conn *backConn, client *wire, goOn func() bool) error {
	buffer := getBuffer()
	defer putBuffer(buffer)
	for !u.ended.Load() && goOn() {
		var out []byte
		var err error
		if u.chunked {
			out, err = u.nextChunk(client, *buffer)
		} else {
			out, err = u.next(client, *buffer)
		}
		if len(out) > 0 {
			if _, werr := conn.Write(out); werr != nil {
				return nil
			}
		}
		if err != nil {
			return err
		}
		if len(out) == len(*buffer) && !u.chunked && u.move(conn, client) != nil {
			return nil
		}
	}
	return nil
}

func (u *upload) next(client *wire, buffer []byte) ([]byte, error) {
	n, err := client.read(buffer[:min(int64(len(buffer)), u.length)])
	u.took(n)
	if u.ended.Load() {
		err = nil
	}
	return buffer[:n], err
}

// nextChunk reads into the second half of the buffer and composes in the first.
func (u *upload) nextChunk(client *wire, buffer []byte) ([]byte, error) {
	half := len(buffer) / 2
	n, err := client.read(buffer[half : len(buffer)-chunkHeadBytes])
	if err != nil {
		return nil, err
	}
	raw := buffer[half : half+n]
	nd, ns, err := u.chunks.Decode(buffer[chunkHeadBytes:half], raw)
	out := closeChunk(buffer[:chunkHeadBytes+nd:half], 0)
	if err == io.EOF {
		u.rest = append([]byte(nil), raw[ns:]...)
		return u.lastChunk(out)
	}
	return out, err
}

// move lets the kernel move what is there from socket to socket.
func (u *upload) move(conn *backConn, client *wire) error {
	from, ok := accept.Socket(client.Conn)
	to, ok2 := conn.socket()
	if !ok || !ok2 {
		return nil
	}
	n := min(int64(client.queued()), u.length)
	if n < bulk {
		return nil
	}
	u.took(int(n)) // the back end may answer before this is known to be done
	moved, err := io.CopyN(to, from, n)
	u.took(int(moved - n))
	return err
}

var errBodyLate = &http1.Refusal{Status: http.StatusRequestTimeout, Reason: "the request body did not come in time"}

// uploadFailed ends a trip whose request does not come to its end.
func (t *trip) uploadFailed(conn *backConn, err error) {
	var refusal *http1.Refusal
	var timeout net.Error
	switch {
	case errors.As(err, &refusal):
		t.body.failure = refusal
	case errors.As(err, &timeout) && timeout.Timeout():
		t.body.failure = errBodyLate
	default:
		t.leave(errClientGone)
		t.cut(errClientGone)
		return
	}
	conn.Close()
}
