package http1

import "bytes"

// Response is the head of an answer. Its slices are parts of the bytes it was
// read from.
type Response struct {
	Message
	Status int
	Reason []byte
	Events bool // it carries server-sent events
}

// Parse reads a whole head. The error is a *Refusal.
func (r *Response) Parse(head []byte) error {
	r.Message.reset()
	r.Events = false
	line, lines := cutLine(head, true)
	version, rest, _ := bytes.Cut(line, space)
	code, reason, _ := bytes.Cut(rest, space)
	r.Status, r.Reason = int(number(code)), reason
	if !r.version(version) || len(code) != 3 || r.Status < 0 || !all(reason, isValue) {
		return errFirstLine
	}
	var err error
	if r.Fields, err = fields(lines, r.Fields, true); err != nil {
		return err
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Name == ContentType {
			r.Events = bytes.HasPrefix(f.Value, events)
		}
		if err := r.take(f); err != nil {
			return err
		}
	}
	if r.Chunked {
		r.Length = -1
	}
	return r.settle()
}

var events = []byte("text/event-stream")

// Bodiless says whether an answer to a method has no body, whatever its fields
// say about its length.
func (r *Response) Bodiless(method []byte) bool {
	return r.Status < 200 || r.Status == 204 || r.Status == 304 || string(method) == "HEAD"
}
