package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"skiff/runtime/container"
)

// The protocol of sessions: the first byte of each message names the end that
// the rest is for. Version 5 adds that a client can close one.
var sessionProtocols = []string{remotecommand.StreamProtocolV5Name, remotecommand.StreamProtocolV4Name}

// upgrader trusts every origin: a client has shown a certificate or a token,
// which no page of a browser has.
func upgrader(protocols ...string) *websocket.Upgrader {
	return &websocket.Upgrader{Subprotocols: protocols, CheckOrigin: func(*http.Request) bool { return true }}
}

// webSocketSession lets the client at the other end of a WebSocket talk.
func (s *Server) webSocketSession(ctx context.Context, r *request, ends *remotecommand.Options, talk converse) {
	conn, err := upgrader(sessionProtocols...).Upgrade(r.w, r.Request, nil)
	if err != nil {
		s.log.Debug("session not opened", "path", r.URL.Path, "error", err)
		return // the client was told
	}
	w := newWire(conn, s.writeTimeout)
	defer w.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, w.close)
	defer stop()

	session := container.Session{TTY: ends.TTY, Resize: w.sizes}
	if ends.Stdin {
		session.In = w.in
	} else {
		_ = w.in.Close() // what is said all the same goes nowhere
	}
	if ends.Stdout {
		session.Out = channel{w, remotecommand.StreamStdOut}
	}
	if ends.Stderr {
		session.Err = channel{w, remotecommand.StreamStdErr}
	}
	go func() {
		defer cancel() // whoever has hung up does not want the rest
		w.listen(ctx)
	}()
	code, err := talk(ctx, session)
	status, encodeErr := json.Marshal(endStatus(code, err))
	if encodeErr == nil {
		_, encodeErr = channel{w, remotecommand.StreamErr}.Write(status)
	}
	if encodeErr != nil {
		s.log.Debug("end of a session not told", "path", r.URL.Path, "error", encodeErr)
	}
}

// wire is a WebSocket that carries the ends of a session.
type wire struct {
	conn    *websocket.Conn
	timeout time.Duration
	mu      sync.Mutex // one writer at a time
	closed  sync.Once

	in    *io.PipeReader
	feed  *io.PipeWriter
	sizes chan container.Size
}

func newWire(conn *websocket.Conn, timeout time.Duration) *wire {
	conn.SetReadLimit(maxBody)
	w := &wire{conn: conn, timeout: timeout, sizes: make(chan container.Size)}
	w.in, w.feed = io.Pipe()
	return w
}

func (w *wire) close() {
	w.closed.Do(func() {
		_ = w.in.CloseWithError(io.ErrClosedPipe)
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		_ = w.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
		_ = w.conn.Close()
	})
}

// listen passes on what the client says until it hangs up.
func (w *wire) listen(ctx context.Context) {
	defer w.feed.Close()
	for {
		_, message, err := w.conn.ReadMessage()
		if err != nil {
			return
		}
		if len(message) == 0 {
			continue
		}
		switch data := message[1:]; message[0] {
		case remotecommand.StreamStdIn:
			if _, err := w.feed.Write(data); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				return
			}
		case remotecommand.StreamResize:
			var size container.Size
			if json.Unmarshal(data, &size) != nil {
				continue
			}
			select {
			case w.sizes <- size:
			case <-ctx.Done():
				return
			}
		case remotecommand.StreamClose:
			if len(data) == 1 && data[0] == remotecommand.StreamStdIn {
				_ = w.feed.Close()
			}
		}
	}
}

// channel is one end that the process writes to.
type channel struct {
	*wire
	number byte
}

func (c channel) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	out, err := c.conn.NextWriter(websocket.BinaryMessage)
	if err != nil {
		return 0, err
	}
	if _, err := out.Write([]byte{c.number}); err != nil {
		return 0, err
	}
	n, err := out.Write(p)
	if err != nil {
		return n, err
	}
	return n, out.Close()
}
