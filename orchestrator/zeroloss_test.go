package orchestrator_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	appsv1 "k8s.io/api/apps/v1"

	"skiff/examples/load"
	"skiff/examples/load/loadtest"
	"skiff/orchestrator/skifftest"
)

// TestZeroLoss updates rude servers ten times, and takes the last update back,
// while clients of every kind use them. Not one of them may see an error.
func TestZeroLoss(t *testing.T) {
	images(t)
	for name, d := range map[string]*appsv1.Deployment{
		"rolling, 3 replicas":  web(3, drain("1")),
		"rolling, 1 replica":   web(1, drain("1")),
		"recreate, 3 replicas": web(3, recreate, drain("1")),
		"recreate, 1 replica":  web(1, recreate, drain("1")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			updateUnder(t, d, "http", func(c *loadtest.Clients, address string) {
				body := strings.Repeat("0123456789abcdef", 4096) // 64 KiB
				c.Load("requests", load.Options{Address: address, Rate: 100, Fresh: 0.5, Conns: 16})
				c.Load("bodies", load.Options{Address: address, Path: "/echo", Body: body, Rate: 10, Fresh: 0.3, Conns: 4})
				// A POST: one that broke off would not be tried again elsewhere.
				c.Load("slow requests", load.Options{Address: address, Path: "/slow?d=2s", Body: "slow", Rate: 2, Conns: 8})
				c.Run("WebSocket", func(ctx context.Context) error { return webSocket(ctx, c, address) })
				c.Run("events", func(ctx context.Context) error { return events(ctx, c, address) })
			})
		})
	}
}

// TestZeroLossTCP is the same for a port that is forwarded as TCP, with clients
// that open a connection for every query.
func TestZeroLossTCP(t *testing.T) {
	images(t)
	for name, d := range map[string]*appsv1.Deployment{
		"rolling, 3 replicas": web(3, drain("30")),
		"recreate, 1 replica": web(1, recreate, drain("30")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			updateUnder(t, d, "tcp", func(c *loadtest.Clients, address string) {
				c.Load("queries", load.Options{Address: address, Rate: 100, Fresh: 1})
			})
		})
	}
}

// updateUnder deploys d, has clients use it on a port of the given kind and
// updates it meanwhile.
func updateUnder(t *testing.T, d *appsv1.Deployment, kind string, start func(*loadtest.Clients, string)) {
	t.Helper()
	i := skifftest.New(t)
	i.Deploy(t, d)
	address := i.Expose(t, nodePort("web", kind))
	rollUnder(t, i, address, start)
}

// rollUnder updates the Deployment web ten times, and takes the last update
// back, while clients use an address of its Service.
func rollUnder(t *testing.T, i *skifftest.Instance, address string, start func(*loadtest.Clients, string)) {
	waitAnswer(t, address)
	c := loadtest.New(t)
	start(c, address)
	for v := 2; v <= 11; v++ {
		i.Update(t, "web", version(v))
		i.WaitRollout(t, "web")
		c.WaitVersion(t, fmt.Sprint(v))
	}
	i.Update(t, "web", version(10)) // what kubectl rollout undo writes
	i.WaitRollout(t, "web")
	c.Stop(t)
}

// patience bounds what is waited for; it is far above what anything takes, so
// that a busy machine fails no test.
const patience = 3 * time.Minute

// waitAnswer returns once the address answers: a new Service's listener opens a
// moment after the Service was created.
func waitAnswer(t testing.TB, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := askOnce(ctx, address)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no answer on %s: %v", address, err)
		}
	}
}

// askOnce asks on a connection of its own, and not for long: one whose other end
// has gone without a word would never answer.
func askOnce(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience/10)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address, nil)
	if err != nil {
		return err
	}
	req.Close = true
	answer, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// webSocket talks on one WebSocket until it is closed with 1012, "service
// restart"; every other end is an error.
func webSocket(ctx context.Context, c *loadtest.Clients, address string) error {
	conn, _, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+address+"/ws", nil)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		sent := fmt.Sprintf("message %d", n)
		if err := conn.WriteMessage(websocket.TextMessage, []byte(sent)); err != nil && !errors.Is(err, websocket.ErrCloseSent) {
			return ended(conn, err)
		}
		_, got, err := conn.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseServiceRestart) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		v, echo, _ := strings.Cut(string(got), " ")
		if echo != sent {
			return fmt.Errorf("sent %q, got %q", sent, got)
		}
		c.Answered(v)
	}
}

// ended tells a clean goodbye, which a failed write hides, from a cut.
func ended(conn *websocket.Conn, err error) error {
	if _, _, readErr := conn.ReadMessage(); websocket.IsCloseError(readErr, websocket.CloseServiceRestart) {
		return nil
	}
	return fmt.Errorf("write: %w", err)
}

// events reads server-sent events; the stream may end between two of them only,
// and none may be missing.
func events(ctx context.Context, c *loadtest.Clients, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/events", nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	lines := bufio.NewReader(resp.Body)
	for n := 0; ; n++ {
		for k, want := range []string{fmt.Sprintf("id: %d\n", n), "data: version " + resp.Header.Get("X-Version") + "\n", "\n"} {
			line, err := lines.ReadString('\n')
			if k == 0 && line == "" && errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil || line != want {
				return fmt.Errorf("event %d: %q instead of %q: %w", n, line, want, err)
			}
		}
		c.Answered(resp.Header.Get("X-Version"))
	}
}
