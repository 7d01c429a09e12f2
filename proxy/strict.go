package proxy

import (
	"net"

	"golang.org/x/net/http2"
)

// strictConn is a connection by HTTP/2 on which a request that the back end ends
// with PROTOCOL_ERROR looks as if it had ended with INTERNAL_ERROR. Go's transport
// takes the former for leave to send the request once more, as often as it comes,
// but a back end may have acted on it (RFC 9113, section 8.7).
type strictConn struct {
	net.Conn
	head [9]byte
	got  int // bytes of the head of a frame so far
	left int // bytes of its payload to come
}

func (c *strictConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.advance(p[:n])
	return n, err
}

func (c *strictConn) advance(p []byte) {
	for len(p) > 0 {
		if c.left == 0 {
			n := copy(c.head[c.got:], p)
			p = p[n:]
			if c.got += n; c.got == len(c.head) {
				c.got, c.left = 0, int(c.head[0])<<16|int(c.head[1])<<8|int(c.head[2])
			}
			continue
		}
		n := min(c.left, len(p))
		c.left -= n
		reset := c.left == 0 && http2.FrameType(c.head[3]) == http2.FrameRSTStream
		if last := &p[n-1]; reset && *last == byte(http2.ErrCodeProtocol) {
			*last = byte(http2.ErrCodeInternal)
		}
		p = p[n:]
	}
}
