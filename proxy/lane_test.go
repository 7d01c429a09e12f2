package proxy

import (
	"io"
	"testing"
)

// A buffer that is given back twice is lent to two, and what one connection
// carries comes out of another.
func TestLaneGivesNoBufferBackTwice(t *testing.T) {
	t.Parallel()
	for range 100 {
		client, ours := connected(t)
		server, theirs := connected(t)
		s := newSplice(ours, theirs)
		up := s.lane(s.server, s.client)
		io.WriteString(client, "hello")
		client.Close()
		if err := up.pump(); err != io.EOF {
			t.Fatal(err)
		}
		hear(t, server, "hello")
		ours.Close() // as a drain does that cuts, from another goroutine
		if err := up.pump(); err == nil || err == io.EOF {
			t.Fatalf("read from a connection that is closed: %v", err)
		}
		one, other := getBuffer(), getBuffer()
		if one == other {
			t.Fatal("two have the same buffer")
		}
		putBuffer(one)
		putBuffer(other)
	}
}
