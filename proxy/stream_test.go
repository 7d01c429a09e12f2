package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

var upgrader = websocket.Upgrader{}

func echoWebSocket() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil {
				return
			}
			if err := conn.WriteMessage(kind, message); err != nil {
				return
			}
		}
	})
}

func dialWebSocket(t *testing.T, f *front) *websocket.Conn {
	t.Helper()
	conn, res, err := websocket.DefaultDialer.Dial("ws://"+f.address+"/chat", http.Header{"X-Kept": {"1"}})
	if err != nil {
		t.Fatalf("dial: %v, %v", err, res)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func echo(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.ReadMessage(); err != nil || string(got) != text {
		t.Fatalf("%d bytes, %v; want %d", len(got), err, len(text))
	}
}

// A WebSocket stays on its back end until the drain's deadline for streams,
// and then ends with the code that tells the client to come back.
func TestWebSocketIsClosedCleanlyAtTheDeadline(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	b := newBackend(t, echoWebSocket())
	f.add(b)
	conn := dialWebSocket(t, f)
	echo(t, conn, "hello")
	echo(t, conn, strings.Repeat("long", 100_000))

	patient := make(chan error, 1)
	go func() { patient <- f.pool.Drain(t.Context(), b.id, time.Hour) }()
	eventually(t, "the back end is leaving", func() bool { return f.pool.Snapshot().Backends[0].State == "leaving" })
	echo(t, conn, "still here")
	drained := make(chan time.Duration, 1)
	go func() {
		start := time.Now()
		f.pool.Drain(t.Context(), b.id, 300*time.Millisecond)
		drained <- time.Since(start)
		b.rudeStop()
	}()
	_, _, err := conn.ReadMessage()
	if !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("the WebSocket ended with %v, want close code 1012", err)
	}
	if d := <-drained; d < 300*time.Millisecond {
		t.Errorf("the drain took %s", d)
	}
	if err := <-patient; err != nil {
		t.Errorf("the drain that would have waited: %v", err)
	}
}

// Frames that are under way at the deadline are not torn.
func TestWebSocketUnderLoadIsClosedAtAFrameBoundary(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		message := []byte(strings.Repeat("0123456789", 10_000))
		for conn.WriteMessage(websocket.BinaryMessage, message) == nil {
		}
	}))
	f.add(b)
	conn := dialWebSocket(t, f)
	drained := make(chan error, 1)
	messages := 0
	for {
		_, message, err := conn.ReadMessage()
		if err != nil {
			if !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
				t.Errorf("ended with %v after %d messages", err, messages)
			}
			break
		}
		if len(message) != 100_000 {
			t.Fatalf("message of %d bytes", len(message))
		}
		if messages++; messages == 10 {
			go func() { drained <- f.pool.Drain(t.Context(), b.id, 50*time.Millisecond) }()
		}
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A client that does not answer the goodbye, or does not even read, does not
// hold up the drain.
func TestDeafWebSocketClient(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	ended := make(chan struct{})
	b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer close(ended)
		defer conn.Close()
		message := make([]byte, 1<<20)
		for conn.WriteMessage(websocket.BinaryMessage, message) == nil {
		}
	}))
	f.add(b)
	dialWebSocket(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := errors.Join(f.pool.Drain(ctx, b.id, 10*time.Millisecond), ctx.Err()); err != nil {
		t.Errorf("drain: %v", err)
	}
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("the back end's connection is still open")
	}
}

func TestUpgradeOfAnotherProtocol(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\n")
		heard, _ := io.ReadAll(buffered) // to the client's half of the end
		fmt.Fprintf(conn, "heard %s", heard)
	})))
	conn := dialRaw(t, f.address).(*net.TCPConn)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: skiff\r\n\r\nearly,")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "skiff" {
		t.Fatalf("%v, %v", res, err)
	}
	io.WriteString(conn, "late")
	conn.CloseWrite()
	if got, err := io.ReadAll(in); string(got) != "heard early,late" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRefusedUpgradeIsAnOrdinaryAnswer(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, answering("no")))
	_, res, err := websocket.DefaultDialer.Dial("ws://"+f.address+"/", nil)
	if !errors.Is(err, websocket.ErrBadHandshake) || res.StatusCode != 200 {
		t.Errorf("%v, %v", err, res)
	}
}

// events sends an event as soon as the last one has been taken.
func events(taken chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; ; i++ {
			fmt.Fprintf(w, "id: %d\n", i)
			http.NewResponseController(w).Flush()
			fmt.Fprintf(w, "data: event\n\n")
			http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-taken:
			}
		}
	})
}

func TestEventsAreFlushedAndEndCleanly(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	taken := make(chan struct{})
	b := newBackend(t, events(taken))
	f.add(b)
	res, err := newClient(t).Get(f.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	event := func() (string, error) {
		var lines []string
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return strings.Join(lines, "|") + line, err
			}
			if line == "\n" {
				return strings.Join(lines, "|"), nil
			}
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	for i := range 3 {
		if got, err := event(); err != nil || got != fmt.Sprintf("id: %d|data: event", i) {
			t.Fatalf("got %q, %v", got, err)
		}
		if i < 2 {
			taken <- struct{}{}
		}
	}
	drained := make(chan error, 1)
	go func() { drained <- f.pool.Drain(t.Context(), b.id, 100*time.Millisecond) }()
	if got, err := event(); err != io.EOF || got != "" {
		t.Errorf("the stream ended with %q, %v; want a clean end", got, err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// An event that is under way at the deadline gets through whole.
func TestEventUnderWayIsFinished(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	half := make(chan struct{})
	b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: be")
		http.NewResponseController(w).Flush()
		<-half
		io.WriteString(w, "gun\n\ndata: another\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	f.add(b)
	res, err := newClient(t).Get(f.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	begin := make([]byte, 8)
	io.ReadFull(res.Body, begin)
	drained := make(chan error, 1)
	go func() { drained <- f.pool.Drain(t.Context(), b.id, 0) }()
	eventually(t, "the stream is cut", func() bool { return f.pool.Snapshot().CutAtDrain == 1 })
	close(half)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "gun\n\n" {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// What ends cleanly leaves the client's connection as it was: it carries an
// answer that comes later than the goodbye to the stream may take.
func TestConnectionOutlivesItsEvents(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	b := newBackend(t, events(nil))
	f.add(b)
	conn := dialRaw(t, f.address)
	in := bufio.NewReader(conn)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	go f.pool.Drain(t.Context(), b.id, 0)
	if rest, err := io.ReadAll(res.Body); err != nil {
		t.Fatalf("the stream ended with %q, %v; want a clean end", rest, err)
	}
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-time.After(goodbyePatience)
		io.WriteString(w, "late")
	})))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, err = http.ReadResponse(in, nil); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "late" {
		t.Errorf("%q, %v", body, err)
	}
}

// A stream that was to have a length and is ended before shows that by the end
// of the connection: the client would take the next answer for the rest of it.
func TestEventsOfKnownLengthEndTheConnection(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	newRawBackend(t, f, func(conn net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err == nil {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 1000\r\n\r\ndata: event\n\n")
			io.Copy(io.Discard, conn)
		}
	})
	res := sendRaw(t, f.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	event := make([]byte, len("data: event\n\n"))
	if _, err := io.ReadFull(res.Body, event); err != nil {
		t.Fatal(err)
	}
	go f.pool.Drain(t.Context(), "raw", 0)
	if rest, err := io.ReadAll(res.Body); err != io.ErrUnexpectedEOF || len(rest) > 0 {
		t.Errorf("the stream ended with %q, %v; want the end of the connection", rest, err)
	}
}
