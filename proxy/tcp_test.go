package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"skiff/proxy/pool"
)

// lineServer answers each line with its name and the line, and drops all
// connections when it is stopped.
type lineServer struct {
	id, address string
	listener    net.Listener
	mu          sync.Mutex
	conns       map[net.Conn]struct{}
	answer      func(line string) string
}

func newLineServer(t *testing.T, id string) *lineServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &lineServer{id: id, address: listener.Addr().String(), listener: listener, conns: map[net.Conn]struct{}{}}
	s.answer = func(line string) string { return id + ":" + line }
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = struct{}{}
			s.mu.Unlock()
			go s.serve(conn)
		}
	}()
	t.Cleanup(s.rudeStop)
	return s
}

func (s *lineServer) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewScanner(conn)
	for in.Scan() {
		fmt.Fprintln(conn, s.answer(in.Text()))
	}
}

func (s *lineServer) rudeStop() {
	s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}

type lineClient struct {
	net.Conn
	in *bufio.Reader
}

func dialLine(address string) (*lineClient, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	return &lineClient{conn, bufio.NewReader(conn)}, nil
}

func (c *lineClient) ask(question string) (string, error) {
	if _, err := fmt.Fprintln(c, question); err != nil {
		return "", err
	}
	line, err := c.in.ReadString('\n')
	return string(bytes.TrimSuffix([]byte(line), []byte("\n"))), err
}

func TestTCPHalfClose(t *testing.T) {
	t.Parallel()
	f := newFront(t, TCP, Options{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		n, _ := io.Copy(io.Discard, conn)
		fmt.Fprintf(conn, "%d bytes", n)
	}()
	f.pool.Add("a", listener.Addr().String())
	conn := dialRaw(t, f.address)
	io.Copy(conn, io.LimitReader(&pattern{}, 10<<20))
	conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(conn); string(got) != fmt.Sprintf("%d bytes", 10<<20) || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A client that makes a connection for each query, while servers that drop
// everything at their end are replaced, with and without a gap.
func TestTCPNoQueryIsLost(t *testing.T) {
	t.Parallel()
	f := newFront(t, TCP, Options{})
	expectComing(f)
	now := newLineServer(t, "s0")
	f.pool.Add(now.id, now.address)
	l := &load{stop: make(chan struct{})}
	l.run(t, 6, func(i int) error {
		c, err := dialLine(f.address)
		if err != nil {
			return err
		}
		defer c.Close()
		got, err := c.ask(fmt.Sprint(i))
		if err == nil && !bytes.HasSuffix([]byte(got), []byte(fmt.Sprint(":", i))) {
			err = fmt.Errorf("answer %q to %d", got, i)
		}
		return err
	})
	for i := 1; i <= 10; i++ {
		l.more(t, 30)
		next := newLineServer(t, fmt.Sprint("s", i))
		if i%2 == 0 {
			f.pool.Add(next.id, next.address)
		}
		if err := f.pool.Drain(t.Context(), now.id, time.Second); err != nil {
			t.Error(err)
		}
		now.rudeStop()
		if i%2 == 1 {
			eventually(t, "connections are parked", func() bool { return f.pool.Snapshot().Waiting > 2 })
			f.pool.Add(next.id, next.address)
		}
		now = next
	}
	l.more(t, 30)
	l.end(t)
}

// A query that is being worked on is not disturbed by the drain.
func TestTCPLongQueryIsFinished(t *testing.T) {
	t.Parallel()
	f := newFront(t, TCP, Options{})
	s := newLineServer(t, "a")
	working, done := make(chan struct{}), make(chan struct{})
	s.answer = func(line string) string {
		if line == "quick" {
			return line
		}
		close(working)
		<-done
		return "done"
	}
	f.pool.Add(s.id, s.address)
	c, err := dialLine(f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer := make(chan string, 1)
	go func() {
		// The long query follows so closely that no clock tells it from the
		// answer before.
		if _, err := c.ask("quick"); err != nil {
			answer <- err.Error()
			return
		}
		got, err := c.ask("work")
		answer <- fmt.Sprint(got, err)
	}()
	<-working
	drained := make(chan error, 1)
	go func() {
		drained <- f.pool.Drain(t.Context(), s.id, 30*time.Second)
		s.rudeStop()
	}()
	eventually(t, "the back end is leaving", func() bool { return f.pool.Snapshot().Backends[0].State == "leaving" })
	time.AfterFunc(1500*time.Millisecond, func() { close(done) })
	if got := <-answer; got != "done<nil>" {
		t.Error(got)
	}
	c.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestTCPIsCutAtTheDeadline(t *testing.T) {
	t.Parallel()
	f := newFront(t, TCP, Options{})
	s := newLineServer(t, "a")
	working := make(chan struct{})
	s.answer = func(string) string {
		close(working)
		<-t.Context().Done()
		return ""
	}
	f.pool.Add(s.id, s.address)
	c, err := dialLine(f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := c.ask("endless")
		ended <- err
	}()
	<-working
	start := time.Now()
	if err := f.pool.Drain(t.Context(), s.id, 300*time.Millisecond); err != nil || time.Since(start) < 300*time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(start))
	}
	if err := <-ended; err == nil {
		t.Error("the query was answered")
	}
	if n := f.pool.Snapshot().CutAtDrain; n != 1 {
		t.Errorf("%d were cut", n)
	}
}

func TestTCPParked(t *testing.T) {
	t.Parallel()
	f := newFront(t, TCP, Options{})
	expectComing(f)
	waiting := func(n int) func() bool { return func() bool { return f.pool.Snapshot().Waiting == n } }

	early, err := dialLine(f.address) // speaks before anyone listens
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	fmt.Fprintln(early, "early")
	leaver, err := dialLine(f.address)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "two are parked", waiting(2))
	leaver.Close()
	eventually(t, "the one that left is forgotten", waiting(1))

	s := newLineServer(t, "a")
	f.pool.Add(s.id, s.address)
	if line, err := early.in.ReadString('\n'); line != "a:early\n" {
		t.Errorf("%q, %v", line, err)
	}
	if got, err := early.ask("again"); got != "a:again" {
		t.Errorf("%q, %v", got, err)
	}

	f.pool.Remove(s.id)
	hopeless, err := dialLine(f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer hopeless.Close()
	eventually(t, "one is parked", waiting(1))
	f.pool.Expect(expectation("scaled to zero"))
	if _, err := hopeless.in.ReadByte(); err != io.EOF {
		t.Errorf("the parked connection ended with %v", err)
	}
	sn := f.pool.Snapshot()
	if sn.Failures[pool.ClientGone] != 1 || sn.Failures[pool.Unavailable] != 1 {
		t.Errorf("counted %+v", sn.Failures)
	}
}

func TestTCPRefusedGoesElsewhere(t *testing.T) {
	t.Parallel()
	f := newFront(t, TCP, Options{})
	f.pool.Add("dead", closedPort(t))
	s := newLineServer(t, "a")
	f.pool.Add(s.id, s.address)
	for i := range 20 {
		c, err := dialLine(f.address)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.ask(fmt.Sprint(i)); got != fmt.Sprint("a:", i) {
			t.Errorf("%q, %v", got, err)
		}
		c.Close()
	}
}

// dialWrapped gives what is no socket of this machine, as far as one can see.
func dialWrapped(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return struct{ net.Conn }{conn}, err
}

// Where connections are no TCP sockets of this machine, rest is known from
// counting.
func TestTCPThroughAnotherDialer(t *testing.T) {
	t.Parallel()
	f := newFront(t, TCP, Options{Dial: dialWrapped})
	s := newLineServer(t, "a")
	f.pool.Add(s.id, s.address)
	c, err := dialLine(f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := c.ask("x"); got != "a:x" {
		t.Fatal(got, err)
	}
	start := time.Now()
	if err := f.pool.Drain(t.Context(), s.id, 10*time.Second); err != nil || time.Since(start) >= 10*time.Second {
		t.Errorf("drain of an idle connection: %v after %s", err, time.Since(start))
	}
	if _, err := c.in.ReadByte(); err != io.EOF {
		t.Errorf("the client saw %v", err)
	}
}
