package proxy

import (
	"context"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"skiff/proxy/pool"
)

// hopByHop are the headers that speak about one connection only (RFC 9110,
// 7.6.1), in the canonical spelling.
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func removeHopByHop(h http.Header) {
	for _, listed := range h["Connection"] {
		for name := range strings.SplitSeq(listed, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// upgradeOf is the protocol that a request or an answer changes to, or empty.
func upgradeOf(h http.Header) string {
	if !httpguts.HeaderValuesContainsToken(h["Connection"], "Upgrade") {
		return ""
	}
	return h.Get("Upgrade")
}

func isGRPC(h http.Header) bool {
	return strings.HasPrefix(h.Get("Content-Type"), "application/grpc")
}

// outgoing is the client's request as the back end gets it.
func (x *exchange) outgoing(ctx context.Context, b *pool.Backend) *http.Request {
	r := x.r
	h := r.Header.Clone()
	upgrade := upgradeOf(h)
	trailers := httpguts.HeaderValuesContainsToken(h["Te"], "trailers")
	removeHopByHop(h)
	if upgrade != "" && r.ProtoMajor == 1 {
		h["Connection"] = []string{"Upgrade"}
		h["Upgrade"] = []string{upgrade}
	}
	if trailers {
		h["Te"] = []string{"trailers"}
	}
	if _, set := h["User-Agent"]; !set {
		h["User-Agent"] = nil // else the transport names itself
	}
	forwardedFor(h, r, x.proto)
	hideKeys(h)

	out := &http.Request{
		Method: r.Method,
		URL: &url.URL{
			Scheme: "http", Host: b.Address(),
			Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery,
		},
		Host:          r.Host,
		Header:        h,
		ContentLength: r.ContentLength,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
	}
	if r.RequestURI == "*" {
		out.URL.Path, out.URL.Opaque = "", "*"
	}
	if x.body != nil {
		var body *attemptBody
		body, ctx = x.body.attempt(ctx)
		out.Body, out.GetBody = body, body.again
		if x.two {
			out.GetBody = unheard
		}
		// The server fills this map in when the body ends.
		out.Trailer = r.Trailer
		if len(r.Trailer) > 0 {
			out.ContentLength = -1
		}
	}
	return out.WithContext(ctx)
}

// hideKeys spells names in another way of which Go's HTTP/1 transport thinks that
// it may send such a request again, although a back end may have acted on it.
func hideKeys(h http.Header) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, set := h[name]; set {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
}

// forwardedFor tells the back end who asked for what, in both spellings. What
// an earlier proxy said stays.
func forwardedFor(h http.Header, r *http.Request, scheme string) {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr
	}
	h["X-Forwarded-For"] = []string{appendTo(h["X-Forwarded-For"], client)}
	if _, set := h["X-Forwarded-Host"]; !set {
		h["X-Forwarded-Host"] = []string{r.Host}
	}
	if _, set := h["X-Forwarded-Proto"]; !set {
		h["X-Forwarded-Proto"] = []string{scheme}
	}
	element := string(appendElement(nil, client, r.Host, scheme))
	h["Forwarded"] = []string{appendTo(h["Forwarded"], element)}
}

func appendTo(list []string, value string) string {
	if len(list) == 0 {
		return value
	}
	return strings.Join(list, ", ") + ", " + value
}

// appendElement says the same as one element of a Forwarded field (RFC 7239).
func appendElement(out []byte, client, host, scheme string) []byte {
	out = append(out, "for="...)
	if strings.Contains(client, ":") {
		out = append(append(append(out, `"[`...), client...), `]"`...)
	} else {
		out = append(out, client...)
	}
	return append(append(appendQuoted(append(out, ";host="...), host), ";proto="...), scheme...)
}

// appendQuoted is s as a token where RFC 7239 allows that, else as a quoted
// string.
func appendQuoted(out []byte, s string) []byte {
	token := s != ""
	for i := range len(s) {
		token = token && httpguts.IsTokenRune(rune(s[i]))
	}
	if token {
		return append(out, s...)
	}
	out = append(out, '"')
	for i := range len(s) {
		if s[i] == '\\' || s[i] == '"' {
			out = append(out, '\\')
		}
		out = append(out, s[i])
	}
	return append(out, '"')
}
