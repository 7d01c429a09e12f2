package http1

import "bytes"

// Request is the head of a request. Its slices are parts of the bytes it was
// read from.
type Request struct {
	Message
	Method, Target, Host []byte
	Expect               bool
}

// HasBody says whether a body follows.
func (r *Request) HasBody() bool { return r.Chunked || r.Length > 0 }

// Safe says whether the request may be sent twice.
func (r *Request) Safe() bool {
	switch string(r.Method) {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return true
	}
	return false
}

// Parse reads a whole head. The error is ErrOdd or a *Refusal.
func (r *Request) Parse(head []byte) error {
	r.Message.reset()
	r.Expect, r.Host = false, nil
	line, lines := cutLine(head, false)
	odd, err := r.firstLine(line)
	if err != nil {
		return err
	}
	if r.Fields, err = fields(lines, r.Fields, false); err != nil {
		return err
	}
	hosts, lengths := 0, 0
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Name {
		case Other:
			continue
		case Host:
			hosts++
			r.Host = f.Value
		case ContentLength:
			lengths++
		case Expect:
			r.Expect = true
		}
		if err := r.take(f); err != nil {
			return err
		}
	}
	switch {
	case hosts > 1, hosts == 0 && r.Minor == 1, !all(r.Host, isHost):
		return errHost
	case lengths > 1:
		return errLength
	case lengths > 0 && r.Chunked:
		return errBothWays
	case odd, len(r.Host) == 0:
		return ErrOdd
	}
	return r.settle()
}

// firstLine reads "GET /path HTTP/1.1". What a proxy does not see every day is
// odd: a whole URL, bytes that would have to be escaped, another version.
func (r *Request) firstLine(line []byte) (odd bool, err error) {
	method, rest, found := bytes.Cut(line, space)
	target, version, found2 := bytes.Cut(rest, space)
	if !found || !found2 || len(method) == 0 || len(target) == 0 || !all(method, isToken) || !all(target, isValue) {
		return false, errFirstLine
	}
	r.Method, r.Target = method, target
	if !r.version(version) {
		return false, ErrOdd
	}
	return string(method) == "CONNECT" || !common(target), nil
}

var space = []byte(" ")

// common says whether a target is a path, and perhaps a query, that goes on as
// it is.
func common(target []byte) bool {
	if target[0] != '/' {
		return false
	}
	for i, c := range target {
		switch {
		case c == '?':
			return all(target[i:], isQuery)
		case kindOf[c]&isPath == 0:
			return false
		case c == '%' && (i+2 >= len(target) || kindOf[target[i+1]]&kindOf[target[i+2]]&isHex == 0):
			return false
		}
	}
	return true
}
