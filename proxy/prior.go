package proxy

import (
	"context"
	"io"
	"time"

	"golang.org/x/net/http2"
)

// askTimeout is how long a back end has to say what it speaks.
const askTimeout = time.Second

var (
	// greeting is how a client begins that knows beforehand that the server speaks
	// HTTP/2 (RFC 9113, section 3.3), and farewell is how it ends.
	greeting = append([]byte(http2.ClientPreface), 0, 0, 0, byte(http2.FrameSettings), 0, 0, 0, 0, 0)
	farewell = []byte{0, 0, 8, byte(http2.FrameGoAway), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
)

// speaksHTTP2 says whether the back end speaks HTTP/2 without TLS, as its Service
// says. That may have meant something else: a second port for HTTP/1 is easily
// called http2. So the back end is asked once.
func (u *upstream) speaksHTTP2(ctx context.Context, address string) bool {
	if u.version.Load() == 0 {
		u.version.Store(u.ask(ctx, address))
	}
	return u.version.Load() != 1
}

// ask learns which version of HTTP a back end answers in. It is 0 where the back
// end cannot be reached, which the request itself will find out, and 2 where it
// does not say.
func (u *upstream) ask(ctx context.Context, address string) (version int32) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := u.open(ctx, address)
	if err != nil {
		return 0
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	var begin [len("HTTP/")]byte
	if _, err = conn.Write(greeting); err == nil {
		_, err = io.ReadFull(conn, begin[:])
	}
	switch {
	case err == nil && string(begin[:]) == "HTTP/":
		return 1
	case context.Cause(ctx) == context.Canceled: // by who asked for something
		return 0
	}
	conn.Write(farewell)
	return 2
}
