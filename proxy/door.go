package proxy

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"time"

	"skiff/proxy/http1"
	"skiff/proxy/pool"
)

// Destination is where a request goes.
type Destination struct {
	Pool *pool.Pool
	H2C  bool // the back ends speak HTTP/2 without TLS, whatever the client speaks
}

// Router says where the requests of a listener go that many share. It gets the
// host as it was asked for, perhaps with a port, and the path without its query
// as it was escaped. The error is a *http1.Refusal, which the client gets.
type Router interface {
	Route(host, path string) (Destination, error)
}

// destination is where a request goes that came in at the listener.
func (what *Listener) destination(host, target string) (Destination, *http1.Refusal) {
	if what.Router == nil {
		return Destination{what.Pool, what.H2C}, nil
	}
	path, _, _ := strings.Cut(target, "?")
	to, err := what.Router.Route(host, path)
	if err == nil {
		return to, nil
	}
	why := &http1.Refusal{Status: http.StatusServiceUnavailable, Reason: err.Error()}
	errors.As(err, &why)
	cause := pool.Refused
	if why.Status == http.StatusServiceUnavailable {
		cause = pool.Unavailable
	}
	what.Pool.Failed(nil, cause)
	return Destination{Pool: what.Pool}, why
}

// turnAway answers a request that leads nowhere. It says whether the connection
// can carry another one.
func (c *client) turnAway(why *http1.Refusal) (again bool) {
	r := &c.in.req
	keep := !r.HasBody() && !r.Close && r.Minor == 1 && !c.listener.parting()
	c.in.r += c.in.head
	p := problem{status: why.Status, text: why.Reason, close: !keep, headOnly: string(r.Method) == http.MethodHead}
	if _, err := c.Write(appendProblem(nil, p)); err != nil {
		return false
	}
	if !keep {
		c.linger()
	}
	c.used = true
	return keep
}

// handshake begins TLS, where it is spoken, and says whether the client then
// speaks HTTP/1.1. One that has chosen HTTP/2 goes to the HTTP server.
func (c *client) handshake() bool {
	conn, ok := c.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	c.within(headTimeout)
	c.SetWriteDeadline(c.till)
	err := conn.HandshakeContext(c.ctx)
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &plain) && plain.Conn != nil:
		p := problem{status: http.StatusBadRequest, text: "this port speaks HTTPS: ask for https://", close: true}
		_, _ = plain.Conn.Write(appendProblem(nil, p))
		return false
	case err != nil:
		return false
	}
	c.SetWriteDeadline(time.Time{})
	if conn.ConnectionState().NegotiatedProtocol == "h2" {
		c.patient()
		c.listener.rare.take(conn)
		c.handedOver = true
		return false
	}
	return true
}

// proto is the scheme that clients of the listener use.
func (what *Listener) proto() string {
	if what.TLS != nil {
		return "https"
	}
	return "http"
}
