package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http/httpguts"
)

// message is what a reader sees of a request. Two readers who see different
// ones in the same bytes are what smuggling needs.
type message struct {
	Method, Target, Host string
	Header               http.Header
	Trailer              http.Header
	Body                 string
	Close                bool
	Rest                 string // the beginning of the next request
}

// read is how the proxy reads a request, in pieces of a size.
func read(stream []byte, piece int) (*message, error) {
	var scan Scan
	end := 0
	for at := 0; end == 0; {
		if at == len(stream) {
			return nil, io.ErrUnexpectedEOF
		}
		at = min(at+piece, len(stream))
		var err error
		if end, err = scan.End(stream[:at]); err != nil {
			return nil, err
		}
	}
	var r Request
	if err := r.Parse(stream[:end]); err != nil {
		return nil, err
	}
	m := &message{
		Method: string(r.Method), Target: string(r.Target), Host: string(r.Host),
		Header: headerOf(r.Fields), Close: r.Close,
	}
	body := stream[end:]
	if !r.Chunked {
		n := int(max(0, r.Length))
		if n > len(body) {
			return nil, io.ErrUnexpectedEOF
		}
		m.Body, m.Rest = string(body[:n]), string(body[n:])
		return m, nil
	}
	return m, m.chunked(body, piece)
}

func (m *message) chunked(body []byte, piece int) error {
	var c Chunks
	var decoded []byte
	for at := 0; at < len(body); {
		part := body[at:min(at+piece, len(body))]
		buffer := make([]byte, len(part))
		nd, ns, err := c.Decode(buffer, part)
		decoded, at = append(decoded, buffer[:nd]...), at+ns
		if err == io.EOF {
			trailer, err := c.Trailer()
			m.Body, m.Rest, m.Trailer = string(decoded), string(body[at:]), headerOf(trailer)
			return err
		}
		if err != nil {
			return err
		}
		if ns == 0 {
			return errors.New("no step forward")
		}
	}
	return io.ErrUnexpectedEOF
}

func headerOf(fields []Field) http.Header {
	h := http.Header{}
	for _, f := range fields {
		name := textproto.CanonicalMIMEHeaderKey(string(f.Text))
		h[name] = append(h[name], string(f.Value))
	}
	return h
}

// oracle is how net/http reads it, with the checks that its server adds.
func oracle(stream []byte) (*message, error) {
	in := bufio.NewReader(bytes.NewReader(stream))
	r, err := http.ReadRequest(in)
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }) {
			return nil, fmt.Errorf("header %q", name)
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	rest, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	return &message{
		Method: r.Method, Target: r.RequestURI, Host: r.Host, Header: r.Header, Trailer: r.Trailer,
		Body: string(body), Close: r.Close, Rest: string(rest),
	}, nil
}

// comparable takes out what the two say in different ways.
func (m *message) comparable() *message {
	for _, name := range []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer"} {
		delete(m.Header, name)
	}
	if m.Header.Get("Pragma") == "no-cache" {
		delete(m.Header, "Cache-Control") // net/http adds one
	}
	for name, values := range m.Trailer {
		if f := nameOf([]byte(strings.ToLower(name))); f == Host || f == ContentLength || f.HopByHop() || values == nil {
			delete(m.Trailer, name)
		}
	}
	if len(m.Trailer) == 0 {
		m.Trailer = nil
	}
	return m
}

// vectors are where readers of requests have been found to differ, with what
// becomes of each here: passed on, refused, or left to net/http.
var vectors = []struct {
	name, stream, outcome string
}{
	{"a plain request", "GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n", "taken"},
	{"a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "taken"},
	{"two requests", "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", "taken"},
	{"chunks with a trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "taken"},
	{"CL.TE: length and chunks", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", "refused 400"},
	{"TE.CL: chunks and length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n", "refused 400"},
	{"CL.CL: two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "refused 400"},
	{"the same length twice", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "refused 400"},
	{"a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", "refused 400"},
	{"a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", "refused 400"},
	{"a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello", "refused 400"},
	{"a hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello", "refused 400"},
	{"an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "refused 400"},
	{"a length beyond int64", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\nh", "refused 400"},
	{"TE.TE: two codings", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "refused 501"},
	{"chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "refused 501"},
	{"a coding before chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "refused 501"},
	{"nearly chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "refused 501"},
	{"chunked in quotes", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", "refused 501"},
	{"chunked behind a vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "refused 400"},
	{"a coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "refused 400"},
	{"space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello", "refused 400"},
	{"a tab before the colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", "refused 400"},
	{"a folded line", "POST / HTTP/1.1\r\nHost: a\r\nX: a\r\n Content-Length: 5\r\n\r\nhello", "refused 400"},
	{"a folded coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "refused 400"},
	{"a folded first line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "refused 400"},
	{"LF alone", "GET / HTTP/1.1\nHost: a\n\n", "refused 400"},
	{"LF alone behind one field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "refused 400"},
	{"CR alone", "GET / HTTP/1.1\r\nHost: a\r\nX: b\rContent-Length: 5\r\n\r\nhello", "refused 400"},
	{"CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "refused 400"},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", "refused 400"},
	{"NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n", "refused 400"},
	{"a name without a colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", "refused 400"},
	{"a colon without a name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "refused 400"},
	{"no Host", "GET / HTTP/1.1\r\n\r\n", "refused 400"},
	{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "refused 400"},
	{"a Host that is none", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "refused 400"},
	{"two spaces in the first line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "refused 400"},
	{"a third word in the first line", "GET / x HTTP/1.1\r\nHost: a\r\n\r\n", "odd"},
	{"a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "refused 400"},
	{"a blank line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "refused 400"},
	{"another version", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "odd"},
	{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "odd"},
	{"a whole URL", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "odd"},
	{"a bad escape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "odd"},
	{"bytes beyond ASCII in the path", "GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", "odd"},
	{"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "odd"},
	{"a chunk size with a sign", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", "refused 400"},
	{"a chunk size with a prefix", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", "refused 400"},
	{"a chunk size that overflows", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", "refused 400"},
	{"no chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n;a\r\nhello\r\n0\r\n\r\n", "refused 400"},
	{"LF alone behind a chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", "refused 400"},
	{"LF alone in a chunk extension", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n", "refused 400"},
	{"CR alone in a chunk extension", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello\r\n0\r\n\r\n", "refused 400"},
	{"a chunk longer than its size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n", "refused 400"},
	{"a last chunk with LF alone", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n", "refused 400"},
	{"a trailer with LF alone", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\n\r\n", "refused 400"},
	{"a length announced as trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n", "refused 400"},
	{"a length as trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\n\r\n", "taken"},
	{"Connection names the length", "POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\nhello", "taken"},
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		_, err := read([]byte(v.stream), len(v.stream))
		got := "taken"
		var refusal *Refusal
		switch {
		case errors.As(err, &refusal):
			got = fmt.Sprintf("refused %d", refusal.Status)
		case err == ErrOdd:
			got = "odd"
		case err != nil:
			got = err.Error()
		}
		if got != v.outcome {
			t.Errorf("%s: %s, want %s", v.name, got, v.outcome)
		}
	}
}

// What is taken is the same request to net/http; all else is refused or left
// to it. How the bytes are cut into pieces changes nothing.
func FuzzRequest(f *testing.F) {
	for _, v := range vectors {
		f.Add([]byte(v.stream), uint8(1))
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		ours, err := read(stream, len(stream)+1)
		pieces, err2 := read(stream, int(piece)+1)
		if diff := cmp.Diff(ours, pieces); diff != "" || (err == nil) != (err2 == nil) {
			t.Fatalf("in pieces of %d: %v, %v\n%s", piece+1, err, err2, diff)
		}
		if err != nil {
			return
		}
		theirs, err := oracle(stream)
		if err != nil {
			t.Fatalf("net/http refuses what is taken here: %v", err)
		}
		if diff := cmp.Diff(theirs.comparable(), ours.comparable()); diff != "" {
			t.Fatalf("net/http sees another request (-net/http +here):\n%s", diff)
		}
	})
}

// An answer that is taken is the same to net/http, whose reader is more lenient.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.0 404 Not Found\r\n\r\n",
		"HTTP/1.1 200 \nTransfer-Encoding: chunked\nConnection: close, X-A\n\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 042 Odd\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		scan := Scan{Answer: true}
		end, err := scan.End(stream)
		if err != nil || end == 0 {
			return
		}
		var r Response
		if r.Parse(stream[:end]) != nil {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(stream)), &http.Request{Method: "GET"})
		if err != nil {
			t.Fatalf("net/http refuses what is taken here: %v", err)
		}
		if theirs.StatusCode != r.Status || len(theirs.TransferEncoding) > 0 != r.Chunked && !r.Bodiless([]byte("GET")) {
			t.Fatalf("status %d, chunked %t; net/http sees %d, %v", r.Status, r.Chunked, theirs.StatusCode, theirs.TransferEncoding)
		}
		if !r.Chunked && !r.Bodiless([]byte("GET")) && theirs.ContentLength != r.Length {
			t.Fatalf("length %d; net/http sees %d", r.Length, theirs.ContentLength)
		}
	})
}
