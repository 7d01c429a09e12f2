// Package http1 reads the heads and bodies of HTTP/1 messages where they lie,
// without copying them. It takes the common case only, and is strict where two
// readers could see different messages in the same bytes (RFC 9112, 11.2): what
// it does not understand it refuses, or calls ErrOdd for another reader.
package http1

import (
	"bytes"
	"errors"
	"net/http"
)

// maxFields bounds the lines of a head, beside the bytes that the caller bounds.
const maxFields = 1000

// ErrOdd: the message is legal, or may be, but not one of the common ones.
var ErrOdd = errors.New("not a common message")

// Refusal is why a message cannot be taken, and the status that says so.
type Refusal struct {
	Status int
	Reason string
}

func (r *Refusal) Error() string { return r.Reason }

func bad(reason string) *Refusal { return &Refusal{http.StatusBadRequest, reason} }

var (
	errLineEnd    = bad("a line ends without CR LF")
	errFirstLine  = bad("malformed first line")
	errFieldName  = bad("malformed header name")
	errFieldValue = bad("malformed header value")
	errHost       = bad("not exactly one valid Host header")
	errLength     = bad("malformed or repeated Content-Length")
	errBothWays   = bad("Content-Length and Transfer-Encoding in one message")
	errOldCoding  = bad("Transfer-Encoding in an HTTP/1.0 message")
	errTrailer    = bad("a trailer that would change the message")
	errCoding     = &Refusal{http.StatusNotImplemented, "unsupported Transfer-Encoding"}
	errTooLarge   = &Refusal{http.StatusRequestHeaderFieldsTooLarge, "too many headers"}
)

// protocol is what a version begins with.
const protocol = "HTTP/1."

// Scan finds the end of a head that arrives in pieces. The lines of an answer may
// end with LF alone, and what cannot become one is refused before its end.
type Scan struct {
	Answer bool
	line   int // where the line under way begins
	seen   int // no end of line before here, from line on
}

// End looks at all that has come so far, which only grows between two calls,
// and returns the length of the head, or 0 while it is not complete.
func (s *Scan) End(b []byte) (int, error) {
	if begin := b[:min(len(b), len(protocol))]; s.Answer && string(begin) != protocol[:len(begin)] {
		return 0, errFirstLine
	}
	for {
		i := bytes.IndexByte(b[s.seen:], '\n')
		if i < 0 {
			s.seen = len(b)
			return 0, nil
		}
		end := s.seen + i
		blank := end == s.line || end == s.line+1 && b[s.line] == '\r'
		if !s.Answer && (end == s.line || b[end-1] != '\r') {
			return 0, errLineEnd
		}
		if blank && s.line == 0 {
			return 0, errFirstLine
		}
		s.line, s.seen = end+1, end+1
		if blank {
			return end + 1, nil
		}
	}
}

// Message is what requests and answers have in common.
type Message struct {
	Minor  int // of the version: HTTP/1.Minor
	Fields []Field

	Length   int64 // what Content-Length says, or -1
	Chunked  bool
	Close    bool     // the connection ends with this message
	Upgrade  []byte   // the protocol it changes to, or nil
	Listed   [][]byte // fields that Connection declares hop-by-hop
	Trailers bool     // TE: trailers

	keepAlive, upgrade bool // what Connection says
}

func (m *Message) reset() {
	*m = Message{Fields: m.Fields[:0], Listed: m.Listed[:0], Length: -1}
}

// IsListed says whether Connection declares a field hop-by-hop.
func (m *Message) IsListed(f *Field) bool {
	for _, name := range m.Listed {
		if bytes.EqualFold(name, f.Text) {
			return true
		}
	}
	return false
}

// version reads HTTP/1.0 and HTTP/1.1.
func (m *Message) version(b []byte) bool {
	minor, ok := bytes.CutPrefix(b, []byte(protocol))
	if !ok || len(minor) != 1 || minor[0] != '0' && minor[0] != '1' {
		return false
	}
	m.Minor = int(minor[0] - '0')
	return true
}

// take notes what a field says about the message and its connection.
func (m *Message) take(f *Field) error {
	switch f.Name {
	case ContentLength:
		n := number(f.Value)
		if n < 0 || m.Length >= 0 && m.Length != n {
			return errLength
		}
		m.Length = n
	case TransferEncoding:
		if m.Chunked || !equal(f.Value, "chunked") {
			return errCoding
		}
		m.Chunked = true
	case Connection:
		m.connection(f.Value)
	case Trailer:
		for name := range elements(f.Value) {
			switch nameOf(name) {
			case ContentLength, TransferEncoding, Trailer:
				return errTrailer
			}
		}
	case TE:
		m.Trailers = m.Trailers || Has(f.Value, "trailers")
	case Upgrade:
		if m.Upgrade == nil {
			m.Upgrade = f.Value
		}
	}
	return nil
}

func (m *Message) connection(value []byte) {
	for element := range elements(value) {
		switch {
		case equal(element, "close"):
			m.Close = true
		case equal(element, "keep-alive"):
			m.keepAlive = true
		case equal(element, "upgrade"):
			m.upgrade = true
		default:
			m.Listed = append(m.Listed, element)
		}
	}
}

// settle draws the conclusions when all fields have been taken.
func (m *Message) settle() error {
	if m.Minor == 0 {
		if m.Chunked {
			return errOldCoding
		}
		m.Close = m.Close || !m.keepAlive
	}
	if !m.upgrade || len(m.Upgrade) == 0 {
		m.Upgrade = nil
	}
	return nil
}
