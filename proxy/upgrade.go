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
	"sync"
	"time"

	"skiff/proxy/pool"
)

// upgrade joins client and back end after a 101 answer, until one of them ends
// it or the drain's deadline comes.
func (x *exchange) upgrade(claim *pool.Claim, res *http.Response, l *listener) error {
	back, ok := res.Body.(io.ReadWriteCloser)
	asked, got := upgradeOf(x.r.Header), upgradeOf(res.Header)
	if !ok || !strings.EqualFold(asked, got) {
		return fmt.Errorf("switch protocols: %q was asked for, the back end answered %q", asked, got)
	}
	l.conns.Add(1) // takes over from the count of the server
	defer l.conns.Done()
	client, buffered, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return fmt.Errorf("switch protocols: %w", err)
	}
	defer l.proxy.clients.end() // takes over from the server, too
	x.begun.Store(true)
	x.answered = true

	t := &tunnel{claim: claim, client: client, early: buffered.Reader, back: back}
	kind := pool.Upgraded
	if strings.EqualFold(got, "websocket") {
		t.frames, kind = &frameTracker{}, pool.WebSocket
	}
	claim.Stream(kind, nil)
	claim.Answered(res.StatusCode)
	removeHopByHop(res.Header)
	res.Header["Connection"], res.Header["Upgrade"] = []string{"Upgrade"}, []string{got}
	if err := writeSwitch(buffered.Writer, res); err != nil {
		t.closeBoth()
		return nil
	}
	stop := context.AfterFunc(claim.Context(), t.goodbye)
	defer stop()
	t.run()
	return nil
}

func writeSwitch(w *bufio.Writer, res *http.Response) error {
	fmt.Fprintf(w, "HTTP/1.1 %s\r\n", res.Status)
	if err := res.Header.Write(w); err != nil {
		return err
	}
	io.WriteString(w, "\r\n")
	return w.Flush()
}

// tunnel copies both ways between an upgraded client and its back end.
type tunnel struct {
	claim  *pool.Claim
	client net.Conn
	early  *bufio.Reader // what was read of the client ahead of time
	back   io.ReadWriteCloser

	mu     sync.Mutex    // held while bytes are tracked and written to the client
	frames *frameTracker // nil: no WebSocket, end it anywhere
	ending bool          // a goodbye is due at the next boundary
	ended  bool          // the goodbye was said; nothing more goes to the client
}

func (t *tunnel) run() {
	var up sync.WaitGroup
	up.Go(func() {
		t.sideEnded(t.back, t.up())
	})
	t.sideEnded(t.client, t.down())
	up.Wait()
	t.closeBoth()
}

// sideEnded passes the end of one direction on. A protocol that skiff does not
// know may go on in the other one; a WebSocket does not.
func (t *tunnel) sideEnded(to any, err error) {
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok || t.frames != nil || half.CloseWrite() != nil {
		t.closeBoth()
	}
}

func (t *tunnel) closeBoth() {
	t.client.Close()
	t.back.Close()
}

// up takes no more than is there from the server's reader: that one ends the
// request's context, and so the tunnel, when the client ends its half.
func (t *tunnel) up() error {
	if _, err := io.CopyN(t.back, t.early, int64(t.early.Buffered())); err != nil {
		return err
	}
	t.early = nil
	parts := thrifty{from: t.client.Read}
	defer parts.drop()
	for {
		part, err := parts.next()
		if _, werr := t.back.Write(part); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tunnel) down() error {
	parts := thrifty{from: t.back.Read}
	defer parts.drop()
	for {
		part, err := parts.next()
		if perr := t.pass(part); perr != nil {
			return perr
		}
		if err != nil && t.torn(err) {
			t.claim.Broke()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// torn says whether the back end ended the stream otherwise than between two
// frames.
func (t *tunnel) torn(err error) bool {
	if err == io.EOF {
		return t.frames != nil && !t.frames.boundary()
	}
	return !errors.Is(err, net.ErrClosed) && t.claim.Context().Err() == nil
}

func (t *tunnel) pass(chunk []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil // reads on, so that the back end can hear the client's goodbye
	}
	last := false
	if t.frames != nil && len(chunk) > 0 {
		if first := t.frames.advance(chunk); t.ending && first > 0 {
			chunk, last = chunk[:first], true
		}
	}
	if _, err := t.client.Write(chunk); err != nil {
		return err
	}
	if last {
		t.sayGoodbye()
	}
	return nil
}

// goodbye ends the tunnel: a WebSocket client is told to come back, at a frame
// boundary, and has a moment to answer. Its answer goes to the back end, so
// that the application sees a clean end as well, and ends the connection.
func (t *tunnel) goodbye() {
	limit := time.Now().Add(goodbyePatience)
	t.client.SetDeadline(limit)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.frames == nil {
		t.closeBoth()
		return
	}
	if t.frames.boundary() {
		t.sayGoodbye()
		return
	}
	t.ending = true
	time.AfterFunc(goodbyePatience, t.closeBoth) // harmless where the end came in time
}

// sayGoodbye needs mu.
func (t *tunnel) sayGoodbye() {
	t.ended = true
	t.claim.Clean()
	t.client.Write(closeFrame)
}
