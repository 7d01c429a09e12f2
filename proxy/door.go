package proxy

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"skiff/proxy/http1"
	"skiff/proxy/pool"
	"skiff/proxy/route"
)

// Destination is where a request goes.
type Destination struct {
	Pool *pool.Pool
	H2C  bool // the back ends speak HTTP/2 without TLS, whatever the client speaks
	// HTTPS, if not 0, is the port at which those are to ask again who did so
	// without TLS.
	HTTPS int
}

// turned is why a request goes nowhere, and perhaps where else to ask.
type turned struct {
	*http1.Refusal
	location string
}

// Router says where the requests of a listener go that many share. It gets the
// host as it was asked for, perhaps with a port, and the path without its query
// as it was escaped. The error is a *http1.Refusal, which the client gets.
type Router interface {
	Route(host, path string) (Destination, error)
}

// destination is where a request goes that came in at the listener.
func (what *Listener) destination(host, target string) (Destination, *turned) {
	if what.Router == nil {
		return Destination{Pool: what.Pool, H2C: what.H2C}, nil
	}
	path, _, _ := strings.Cut(target, "?")
	to, err := what.Router.Route(host, path)
	nowhere := Destination{Pool: what.Pool}
	switch {
	case err != nil:
		why := &http1.Refusal{Status: http.StatusServiceUnavailable, Reason: err.Error()}
		errors.As(err, &why)
		cause := pool.Refused
		if why.Status == http.StatusServiceUnavailable {
			cause = pool.Unavailable
		}
		what.Pool.Failed(nil, cause)
		return nowhere, &turned{Refusal: why}
	case to.HTTPS != 0 && what.TLS == nil:
		why := &http1.Refusal{Status: http.StatusPermanentRedirect, Reason: "this host wants TLS: ask for https://"}
		return nowhere, &turned{why, secured(host, to.HTTPS, target)}
	}
	return to, nil
}

// secured is where to ask with TLS for what was asked for without.
func secured(host string, port int, target string) string {
	host = route.Host(host)
	if port != 443 {
		host += ":" + strconv.Itoa(port)
	}
	if !strings.HasPrefix(target, "/") { // all of the server: "*"
		target = "/"
	}
	return "https://" + host + target
}

// turnAway answers a request that leads nowhere. It says whether the connection
// can carry another one.
func (c *client) turnAway(why *turned) (again bool) {
	r := &c.in.req
	keep := !r.HasBody() && !r.Close && r.Minor == 1 && !c.listener.parting()
	c.in.r += c.in.head
	p := problem{status: why.Status, text: why.Reason, location: why.location, close: !keep, headOnly: string(r.Method) == http.MethodHead}
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
