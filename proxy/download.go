package proxy

import (
	"errors"
	"io"

	"skiff/proxy/http1"
)

// download is an answer on its way from the back end.
type download struct {
	conn   *backConn
	buf    []byte
	r, w   int // buf[r:w] has come and is unused
	how    framing
	left   int64 // of a body of known length
	coded  bool  // it comes in chunks
	chunks http1.Chunks
	over   bool // its end has been seen
}

// head reads a head, whose parts then lie in buf.
func (d *download) head(res *http1.Response) error {
	scan := http1.Scan{Answer: true}
	for {
		n, err := scan.End(d.buf[d.r:d.w])
		if err != nil {
			return err
		}
		if n > 0 {
			head := d.buf[d.r : d.r+n]
			d.r += n
			return res.Parse(head)
		}
		if d.w == len(d.buf) && d.r > 0 {
			d.r, d.w = 0, copy(d.buf, d.buf[d.r:d.w])
		}
		if d.w == len(d.buf) {
			if len(d.buf) >= maxUpstreamHead {
				return errors.New("the answer's headers are too large")
			}
			d.buf = append(d.buf, make([]byte, len(d.buf))...)
		}
		n, err = d.conn.read(d.buf[d.w:])
		if err != nil {
			return err
		}
		d.w += n
	}
}

func (d *download) of(res *http1.Response, how framing) {
	d.how, d.coded, d.left = how, res.Chunked, res.Length
	if how == noBody {
		d.coded, d.left = false, 0
	}
}

// read puts a part of the body into p. Where none is there yet it waits, or
// returns nothing. The error is io.EOF at the end, with the last part.
func (d *download) read(p []byte, wait bool) (n int, err error) {
	switch {
	case d.coded:
		n, err = d.readChunks(p, wait)
	case d.left >= 0:
		if int64(len(p)) > d.left {
			p = p[:d.left]
		}
		if n, err = d.readRaw(p, wait); err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if d.left -= int64(n); d.left == 0 {
			err = io.EOF
		}
	default:
		n, err = d.readRaw(p, wait)
	}
	d.over = err == io.EOF
	return n, err
}

func (d *download) readRaw(p []byte, wait bool) (int, error) {
	if d.r < d.w || len(p) == 0 {
		n := copy(p, d.buf[d.r:d.w])
		d.r += n
		return n, nil
	}
	if wait {
		return d.conn.read(p)
	}
	return d.conn.tryRead(p)
}

func (d *download) readChunks(p []byte, wait bool) (n int, err error) {
	for n == 0 {
		if d.r == d.w {
			d.r, d.w = 0, 0
			if wait {
				d.w, err = d.conn.read(d.buf)
			} else {
				d.w, err = d.conn.tryRead(d.buf)
			}
			if err == io.EOF {
				return 0, io.ErrUnexpectedEOF
			}
			if err != nil || d.w == 0 {
				return 0, err
			}
		}
		var used int
		n, used, err = d.chunks.Decode(p, d.buf[d.r:d.w])
		d.r += used
		if err != nil {
			return n, err
		}
		if used == 0 {
			return n, nil
		}
	}
	return n, nil
}
