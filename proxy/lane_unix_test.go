//go:build unix

package proxy

import (
	"io"
	"testing"
	"time"
)

// What the other side has no room for follows what it had room for.
func TestLaneKeepsWhatIsNotTaken(t *testing.T) {
	t.Parallel()
	_, ours := connected(t)
	server, theirs := connected(t)
	server.SetDeadline(time.Now().Add(time.Minute))
	theirs.SetWriteBuffer(64 << 10)
	s := newSplice(ours, theirs)
	up := s.lane(s.server, s.client)
	const size = 8 << 20 // more than the sockets hold
	up.rest = make([]byte, size)
	io.ReadFull(&pattern{}, up.rest)
	if err := s.server.raw.Control(up.offer); err != nil {
		t.Fatal(err)
	}
	if n := len(up.rest); n == 0 || n == size {
		t.Fatalf("%d of %d bytes are left", n, size)
	}
	go func() {
		s.server.Write(up.rest)
		s.server.CloseWrite()
	}()
	checkPattern(t, server, size)
}
