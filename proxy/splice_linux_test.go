package proxy

import (
	"io"
	"net"
	"testing"
)

// A connection on which a query has come that nobody has read is not at rest,
// however long ago its last byte passed.
func TestSpliceSeesTheUnread(t *testing.T) {
	t.Parallel()
	client, ours := connected(t)
	theirs, server := connected(t)
	s := newSplice(ours, theirs)
	io.WriteString(client, "query")
	eventually(t, "the query has come", func() bool { return s.client.queued() > 0 })
	if !s.Unread() {
		t.Fatal("a query that is unread is not seen")
	}
	done := make(chan struct{})
	go func() { defer close(done); s.run() }()
	query := make([]byte, len("query"))
	if _, err := io.ReadFull(server, query); err != nil || string(query) != "query" {
		t.Errorf("the query became %q, %v", query, err)
	}
	if s.Unread() {
		t.Error("a query that was read is taken for unread")
	}
	s.Close()
	<-done
}

// connected are the two ends of a connection.
func connected(t *testing.T) (a, b net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if a, err = net.Dial("tcp", listener.Addr().String()); err == nil {
		b, err = listener.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}
