package http1

import (
	"bytes"
	"io"
)

const (
	maxChunkLine = 4 << 10
	maxTrailer   = 16 << 10
	maxSizeWidth = 15 // digits, so that a size fits an int64
)

var (
	errChunkSize = bad("malformed chunk size")
	errChunkEnd  = bad("a chunk does not end with CR LF")
	errChunkLine = bad("chunk extensions or trailers are too long")
)

type chunkState uint8

const (
	inSize chunkState = iota
	inExtension
	sizeCR // the CR of the size's line has come
	inData
	dataEnd
	dataCR
	inTrailer
	chunksDone
)

// Chunks decodes a body in the chunked coding. Its zero value is at the start
// of one.
type Chunks struct {
	state   chunkState
	left    int64 // of the chunk under way
	width   int   // digits of its size so far
	line    int   // bytes of its line so far
	blanks  bool  // space has come behind the digits
	trailer []byte
	scan    Scan
}

// Decode moves what it can of the body from src to dst and returns how much of
// each it used. The error is io.EOF once the last byte of the trailer has been
// used, or a *Refusal. dst may be src: the body never overtakes its coding.
func (c *Chunks) Decode(dst, src []byte) (nd, ns int, err error) {
	for ns < len(src) {
		switch c.state {
		case inData:
			n := copy(dst[nd:], src[ns:min(len(src), ns+int(min(c.left, int64(len(src)))))])
			if n == 0 {
				return nd, ns, nil
			}
			nd, ns, c.left = nd+n, ns+n, c.left-int64(n)
			if c.left == 0 {
				c.state = dataEnd
			}
		case inTrailer:
			n, err := c.takeTrailer(src[ns:])
			return nd, ns + n, err
		case chunksDone:
			return nd, ns, io.EOF
		default:
			if err := c.step(src[ns]); err != nil {
				return nd, ns, err
			}
			ns++
		}
	}
	return nd, ns, nil
}

// step takes one byte of what is between the data.
func (c *Chunks) step(b byte) error {
	switch c.state {
	case inSize, inExtension:
		return c.sizeLine(b)
	case sizeCR:
		if b != '\n' {
			return errChunkSize
		}
		if c.state = inData; c.left == 0 {
			c.state = inTrailer
		}
	case dataEnd:
		if b != '\r' {
			return errChunkEnd
		}
		c.state = dataCR
	case dataCR:
		if b != '\n' {
			return errChunkEnd
		}
		*c = Chunks{trailer: c.trailer[:0]}
	}
	return nil
}

func (c *Chunks) sizeLine(b byte) error {
	if c.line++; c.line > maxChunkLine {
		return errChunkLine
	}
	switch {
	case b == '\r' && c.width > 0:
		c.state = sizeCR
	case c.state == inExtension && kindOf[b]&isValue != 0:
	case c.state == inExtension:
		return errChunkSize
	case b == ';' && c.width > 0:
		c.state = inExtension
	case kindOf[b]&isSpace != 0 && c.width > 0:
		c.blanks = true
	case kindOf[b]&isHex == 0 || c.blanks || c.width == maxSizeWidth:
		return errChunkSize
	default:
		c.width++
		c.left = c.left<<4 | int64(hexDigit(b))
	}
	return nil
}

func hexDigit(b byte) byte {
	if b <= '9' {
		return b - '0'
	}
	return b&^0x20 - 'A' + 10
}

// takeTrailer gathers the lines after the last chunk, down to a blank one.
func (c *Chunks) takeTrailer(src []byte) (used int, err error) {
	before := len(c.trailer)
	if before == 0 && src[0] == '\r' || before == 1 && c.trailer[0] == '\r' {
		return c.noTrailer(src)
	}
	for i, b := range src {
		c.trailer = append(c.trailer, b)
		if len(c.trailer) > maxTrailer {
			return i, errChunkLine
		}
		if b != '\n' {
			continue
		}
		end, err := c.scan.End(c.trailer)
		if err != nil {
			return i, err
		}
		if end > 0 {
			c.state = chunksDone
			return i + 1, io.EOF
		}
	}
	return len(src), nil
}

// noTrailer is for the common case: the blank line comes at once.
func (c *Chunks) noTrailer(src []byte) (used int, err error) {
	if len(c.trailer) == 0 {
		c.trailer = append(c.trailer, '\r')
		used = 1
	}
	if used == len(src) {
		return used, nil
	}
	if src[used] != '\n' {
		return used, errLineEnd
	}
	c.trailer, c.state = c.trailer[:0], chunksDone
	return used + 1, io.EOF
}

// Trailer gives the fields behind the body, once that has ended, but for those
// that speak about the connection or the message itself: nobody may act on
// such ones here.
func (c *Chunks) Trailer() ([]Field, error) {
	all, err := fields(bytes.TrimSuffix(c.trailer, []byte("\r\n")), nil, false)
	if err != nil {
		return nil, err
	}
	kept := all[:0]
	for _, f := range all {
		if f.Name != Host && f.Name != ContentLength && !f.Name.HopByHop() {
			kept = append(kept, f)
		}
	}
	return kept, nil
}
