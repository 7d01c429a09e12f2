package proxy

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"skiff/proxy/http1"
)

// compose puts the request as the back end gets it in out: the head, and what
// has come of the body. It is the same for every back end.
func (t *trip) compose() error {
	r := &t.in.req
	out := t.out.out[:0]
	out = append(out, r.Method...)
	out = append(out, ' ')
	out = append(out, r.Target...)
	out = append(out, " HTTP/1.1\r\nHost: "...)
	out = append(out, r.Host...)
	out = append(out, '\r', '\n')
	out = appendForwarded(out, r, t.address, t.proto)
	switch {
	case r.Chunked:
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	case r.Length >= 0:
		out = append(out, "Content-Length: "...)
		out = strconv.AppendInt(out, r.Length, 10)
		out = append(out, '\r', '\n')
	}
	out = append(out, '\r', '\n')
	out, err := t.body.begun(out, t.in)
	t.out.out = out
	return err
}

// appendForwarded passes the client's fields on, and tells the back end who
// asked for what, in both spellings. What an earlier proxy said stays.
func appendForwarded(out []byte, r *http1.Request, client, scheme string) []byte {
	var host, proto, fors, forwarded bool
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Name {
		case http1.Host, http1.ContentLength:
			continue
		case http1.Trailer:
			if !r.Chunked {
				continue
			}
		case http1.XForwardedFor:
			fors = true
			continue
		case http1.Forwarded:
			forwarded = true
			continue
		case http1.XForwardedHost:
			host = host || !r.IsListed(f)
		case http1.XForwardedProto:
			proto = proto || !r.IsListed(f)
		default:
			if f.Name.HopByHop() {
				continue
			}
		}
		if !r.IsListed(f) {
			out = appendField(out, f)
		}
	}
	if r.Trailers {
		out = append(out, "Te: trailers\r\n"...)
	}
	out = appendList(append(out, "X-Forwarded-For: "...), r, http1.XForwardedFor, fors)
	out = append(out, client...)
	if !host {
		out = append(append(out, "\r\nX-Forwarded-Host: "...), r.Host...)
	}
	if !proto {
		out = append(append(out, "\r\nX-Forwarded-Proto: "...), scheme...)
	}
	out = appendList(append(out, "\r\nForwarded: "...), r, http1.Forwarded, forwarded)
	out = appendElement(out, client, string(r.Host), scheme)
	return append(out, '\r', '\n')
}

// appendList appends what fields of a name say already.
func appendList(out []byte, r *http1.Request, name http1.Name, present bool) []byte {
	if !present {
		return out
	}
	for i := range r.Fields {
		if f := &r.Fields[i]; f.Name == name && !r.IsListed(f) {
			out = append(append(out, f.Value...), ", "...)
		}
	}
	return out
}

func appendField(out []byte, f *http1.Field) []byte {
	out = append(out, f.Text...)
	out = append(out, ':', ' ')
	out = append(out, f.Value...)
	return append(out, '\r', '\n')
}

// framing is how the end of an answer's body is told to the client.
type framing int

const (
	noBody framing = iota
	byLength
	byChunks
	byClose
)

// appendAnswer is the head of an answer as the client gets it.
func (t *trip) appendAnswer(out []byte, how framing) []byte {
	r := &t.out.res
	out = appendStatus(out, t.in.req.Minor, r.Status)
	out = append(out, r.Reason...)
	out = append(out, '\r', '\n')
	dated := r.Status < 200
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case f.Name == http1.Date:
			dated = true
		case f.Name == http1.Trailer && how == byChunks:
		case f.Name == http1.ContentLength, f.Name.HopByHop():
			continue
		}
		if !r.IsListed(f) {
			out = appendField(out, f)
		}
	}
	if !dated {
		out = appendDate(out)
	}
	switch {
	case how == byChunks:
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	case r.Length >= 0 && r.Status >= 200 && r.Status != http.StatusNoContent && r.Status != http.StatusNotModified:
		out = append(out, "Content-Length: "...)
		out = strconv.AppendInt(out, r.Length, 10)
		out = append(out, '\r', '\n')
	}
	switch {
	case r.Status < 200:
	case !t.keep:
		out = append(out, "Connection: close\r\n"...)
	case t.in.req.Minor == 0:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	return append(out, '\r', '\n')
}

func appendStatus(out []byte, minor, status int) []byte {
	out = append(out, "HTTP/1."...)
	out = append(out, byte('0'+minor), ' ')
	out = strconv.AppendInt(out, int64(status), 10)
	return append(out, ' ')
}

// problem is an answer of the proxy's own.
type problem struct {
	status   int
	text     string
	location string
	close    bool // the connection ends with it
	headOnly bool // it answers a HEAD
}

func appendProblem(out []byte, p problem) []byte {
	text := http.StatusText(p.status)
	body := strconv.Itoa(p.status) + " " + strings.ToLower(text) + ": " + p.text + "\n"
	out = append(appendStatus(out, 1, p.status), text...)
	out = append(out, "\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"...)
	if p.status == http.StatusServiceUnavailable {
		out = append(out, "Retry-After: 1\r\n"...)
	}
	if p.location != "" {
		out = append(append(append(out, "Location: "...), p.location...), "\r\n"...)
	}
	if p.close {
		out = append(out, "Connection: close\r\n"...)
	}
	out = appendDate(out)
	out = append(append(append(out, "Content-Length: "...), strconv.Itoa(len(body))...), "\r\n\r\n"...)
	if p.headOnly {
		return out
	}
	return append(out, body...)
}

// dated is a second, and the Date field that says so.
type dated struct {
	second int64
	field  string
}

var today atomic.Pointer[dated]

// appendDate says when an answer was made, for those that do not say it
// themselves.
func appendDate(out []byte) []byte {
	now := time.Now()
	d := today.Load()
	if d == nil || d.second != now.Unix() {
		d = &dated{now.Unix(), "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"}
		today.Store(d)
	}
	return append(out, d.field...)
}
