package proxy

import (
	"net"
	"testing"
)

// A buffer that is given back twice is lent to two, and what one connection
// carries comes out of another.
func TestSourceGivesNoBufferBackTwice(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 100 {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		client.Close()
		source := &source{wire: newWire(server)}
		chunk, err := source.next()
		if err != nil || string(*chunk) != "hello" {
			t.Fatalf("read %q, %v", *chunk, err)
		}
		putBuffer(chunk)
		server.Close() // as a drain does that cuts, from another goroutine
		if _, err := source.next(); err == nil {
			t.Fatal("read from a connection that is closed")
		}
		one, other := getBuffer(), getBuffer()
		if one == other {
			t.Fatal("two have the same buffer")
		}
		putBuffer(one)
		putBuffer(other)
	}
}
