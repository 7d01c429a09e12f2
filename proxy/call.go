package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"golang.org/x/net/http2"
)

// What a gRPC client is told, of the codes that gRPC has.
const (
	callDeadlineExceeded = 4
	callUnavailable      = 14
)

// failCall tells a gRPC client what went wrong in gRPC's own words. Of an answer
// that is no gRPC its library makes what it can, and an application that gives
// a call up at its deadline would look like one that is broken: it does so at
// the moment when the client does as well, and either may be first.
func (x *exchange) failCall(err error, v verdict) {
	code := callUnavailable
	var reset http2.StreamError
	if errors.As(err, &reset) && reset.Code == http2.ErrCodeCancel && x.r.Header.Get("Grpc-Timeout") != "" {
		code = callDeadlineExceeded
	}
	h := x.w.Header()
	prefix := http.TrailerPrefix
	if !x.answered {
		clear(h)
		h.Set("Content-Type", "application/grpc")
		prefix = ""
	}
	h[prefix+"Grpc-Status"] = []string{strconv.Itoa(code)}
	h[prefix+"Grpc-Message"] = []string{url.PathEscape(v.text)}
	if !x.answered {
		x.w.WriteHeader(http.StatusOK)
	}
}
