package proxy

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"skiff/proxy/pool"
)

// conversation is what is known from outside of a client's connection that is
// joined with one to a back end: when bytes passed and in which direction the
// last ones went, so that a drain can close it at a moment of rest.
type conversation struct {
	who      netip.Addr // the client is
	started  time.Time
	last     atomic.Int64 // when bytes last passed, since started
	talk     atomic.Int32 // what it is at
	heldBack atomic.Bool  // something that the client sends is
}

// What a conversation is at.
const (
	answered int32 = iota
	asked
	watching // the client has asked for news
)

// note takes note of bytes that have come at now.
func (c *conversation) note(now time.Time, up bool, chunk []byte) {
	c.last.Store(int64(now.Sub(c.started)))
	switch {
	case !up: // news are not the last ones
		c.talk.CompareAndSwap(asked, answered)
	case watches(chunk):
		c.talk.Store(watching)
	default:
		c.talk.Store(asked)
	}
}

// Rest says what has come last, and when. What is held back asks for an answer,
// though one to something earlier may come meanwhile.
func (c *conversation) Rest() pool.Rest {
	talk := c.talk.Load()
	return pool.Rest{
		Idle:     time.Since(c.started) - time.Duration(c.last.Load()),
		Asked:    talk == asked,
		Waiting:  talk == asked || c.heldBack.Load(),
		Watching: talk == watching,
	}
}

// Client is where the client is.
func (c *conversation) Client() netip.Addr { return c.who }

// watches says whether a request waits for news and not for a result, so that
// nothing is lost with it: it is the one by which a MongoDB driver watches its
// server, for up to ten seconds at a time. A long query looks the same from
// outside, and those are left alone.
func watches(request []byte) bool {
	// A header, flags, the kind of the first section, and the size of the document
	// in it, whose first element says by its name which command this is: OP_MSG of
	// MongoDB's wire protocol.
	const opMsg, opcode, command = 2013, 12, 16 + 4 + 1 + 4 + 1
	if len(request) < command || len(request) > 4096 || binary.LittleEndian.Uint32(request[opcode:]) != opMsg {
		return false
	}
	name, rest, ended := bytes.Cut(request[command:], []byte{0})
	return ended && slices.Contains(greetings, string(name)) && bytes.Contains(rest, []byte("maxAwaitTimeMS\x00"))
}

var greetings = []string{"hello", "isMaster", "ismaster"}
