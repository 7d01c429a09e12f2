package proxy

import "sync"

// carrier is a connection by HTTP/1 that ends the read of the body that it carries
// when it ends itself. Go's transport, which closes it then, says nothing before
// that read has ended, and the client may say nothing for ever. The head has been
// sent before the read, so that the body cannot be for another attempt.
type carrier struct {
	*upstreamConn
	mu     sync.Mutex
	reads  *requestBody // nil: no read is under way
	closed bool
}

// begin says that a read begins, unless it would be in vain.
func (c *carrier) begin(b *requestBody) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.reads = b
	}
	return !c.closed
}

// finish says whether the read was not in vain.
func (c *carrier) finish() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads = nil
	return !c.closed
}

func (c *carrier) Close() error {
	err := c.upstreamConn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.reads != nil {
		c.reads.leave()
	}
	return err
}
