//go:build unix

package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"skiff/proxy/lines"
)

// heirOf is a proxy that has taken over all that another one listens at, and
// serves it from a pool of its own.
func heirOf(t *testing.T, elder *Proxy, mode Mode) (*front, *lines.Set) {
	t.Helper()
	set := lines.New()
	var taken []lines.Line
	for _, l := range elder.Lend() {
		if err := set.Add(l.Network, l.Address, copyOf(t, l.Socket)); err != nil {
			t.Fatal(err)
		}
		taken = append(taken, l)
	}
	f := newFront(t, mode, Options{Lines: set})
	for _, l := range taken {
		if l.Network == "udp" {
			mode = UDP
		}
		if err := f.Listen(t.Context(), Listener{Name: "taken over", Address: l.Address, Mode: mode, Pool: f.pool}); err != nil {
			t.Fatal(err)
		}
		f.address = l.Address
	}
	return f, set
}

// copyOf is a socket as another process gets it. Taking over what its File gives
// would make it block, for everybody, for a moment: too long for who accepts from
// it without telling the scheduler.
func copyOf(t *testing.T, socket syscall.Conn) *os.File {
	t.Helper()
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	copied, failed := -1, error(nil)
	err = raw.Control(func(fd uintptr) { copied, failed = syscall.Dup(int(fd)) })
	if err = errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(copied)
	return os.NewFile(uintptr(copied), "copy")
}

// Clients that keep their connections, those that open one each time and those
// that send what cannot be sent twice lose nothing when another process takes
// over, and with their next request they are with that one.
func TestLeaveLosesNothing(t *testing.T) {
	t.Parallel()
	old := newFront(t, HTTP, Options{})
	b := newBackend(t, answering("hello"))
	old.add(b)
	var wg sync.WaitGroup
	var sent atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients []*http.Client
	for n := range 12 {
		client := newClient(t)
		clients = append(clients, client)
		client.Transport.(*http.Transport).DisableKeepAlives = n%3 == 0
		wg.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequest(http.MethodPost, old.url("/"), io.NopCloser(strings.NewReader("once")))
				if err != nil {
					t.Error(err)
					return
				}
				if n%3 == 1 {
					req.Header.Set("Expect", "100-continue") // goes to the HTTP server
				}
				res, err := client.Do(req)
				if err != nil {
					t.Errorf("client %d: %v", n, err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				sent.Add(1)
			}
		})
	}
	eventually(t, "requests before", func() bool { return sent.Load() > 200 })
	heir, set := heirOf(t, old.Proxy, HTTP)
	heir.add(newBackend(t, answering("hello")))
	if err := old.Listen(t.Context(), Listener{Name: "new", Address: "127.0.0.1:0", Mode: HTTP, Pool: old.pool}); err != nil {
		t.Error(err)
	}
	if n := len(old.Lend()); n != 1 {
		t.Errorf("%d listeners in a proxy that is to leave", n)
	}
	if err := set.Free(old.Leave()); err != nil {
		t.Error(err)
	}
	before, served := sent.Load(), b.served.Load()
	old.clients.mu.Lock()
	open := old.clients.n
	old.clients.mu.Unlock()
	eventually(t, "requests after", func() bool { return sent.Load() > before+500 })
	stop()
	wg.Wait()
	// Each connection may have carried one more, after the one that was under way.
	if n := b.served.Load() - served; n > int64(2*open) {
		t.Errorf("%d requests went over %d connections of the proxy that had left", n, open)
	}
	for _, c := range clients {
		c.CloseIdleConnections()
	}
	empty, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := old.Empty(empty); err != nil {
		t.Errorf("connections are counted that are closed: %v", err)
	}
}

// What goes on stays: a WebSocket, a request under way, a connection that rests.
func TestLeaveLeavesAlone(t *testing.T) {
	t.Parallel()
	old := newFront(t, HTTP, Options{})
	release := make(chan struct{})
	slow := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case websocket.IsWebSocketUpgrade(r):
			echoWebSocket().ServeHTTP(w, r)
		case r.URL.Path == "/slow":
			<-release
		}
		io.WriteString(w, "done")
	}))
	old.add(slow)
	ws := dialWebSocket(t, old)
	resting := newClient(t)
	get(t, resting, old.url("/"))
	answered := make(chan error, 1)
	go func() {
		res, err := newClient(t).Post(old.url("/slow"), "text/plain", strings.NewReader("body"))
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		answered <- err
	}()
	eventually(t, "the slow request arrives", func() bool { return slow.served.Load() == 3 })

	heir, set := heirOf(t, old.Proxy, HTTP)
	fast := newBackend(t, answering("heir"))
	heir.add(fast)
	early := newClient(t)
	if _, text := get(t, early, old.url("/")); text != "done" {
		t.Errorf("before it has left a new connection got %q", text)
	}
	early.CloseIdleConnections()
	if err := set.Free(old.Leave()); err != nil {
		t.Error(err)
	}
	echo(t, ws, "still here")
	if _, text := get(t, newClient(t), old.url("/")); text != "heir" {
		t.Errorf("a new connection got %q", text)
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	res, err := resting.Post(old.url("/"), "text/plain", io.NopCloser(strings.NewReader("once")))
	if err != nil {
		t.Fatalf("the connection that rested: %v", err)
	}
	text, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if string(text) != "done" || !res.Close {
		t.Errorf("the connection that rested got %q, which is said to be the last: %t", text, res.Close)
	}
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- old.Empty(ctx) }()
	echo(t, ws, "and here")
	select {
	case err := <-left:
		t.Errorf("it was said to be empty with a WebSocket: %v", err)
	default:
	}
	ws.Close()
	if err := <-left; err != nil {
		t.Error(err)
	}
	cancel()
}

// A proxy that has lent its listeners in vain goes on as before.
func TestReclaim(t *testing.T) {
	t.Parallel()
	old := newFront(t, HTTP, Options{})
	b := newBackend(t, answering("old"))
	old.add(b)
	if n := len(old.Lend()); n != 1 {
		t.Fatalf("%d listeners were lent", n)
	}
	old.Reclaim()
	old.listen(t, Listener{Name: "another", Mode: HTTP, Pool: old.pool})
	if _, text := get(t, newClient(t), old.url("/")); text != "old" {
		t.Errorf("got %q", text)
	}
}

// Clients of UDP and their back ends go on with each other, and neither sees
// another address. Only those whose back end is gone begin anew.
func TestLeaveUDP(t *testing.T) {
	t.Parallel()
	old, back, _, address := listenUDP(t)
	mirror := mirrorUDP(t)
	back.Add("mirror", mirror)
	back.Add("gone", echoUDP(t, "gone"))
	clients := map[udpClient]string{}
	var gone int
	for range 20 {
		client := dialUDP(t, address)
		client.send("early")
		if clients[client] = client.hear(); clients[client] == "gone early" {
			gone++
		}
	}
	if gone == 0 || gone == len(clients) {
		t.Fatalf("%d of %d clients have the back end that will be gone", gone, len(clients))
	}
	heir, set := heirOf(t, old, HTTP)
	heir.pool.Add("mirror", mirror)
	flows := old.Leave()
	for client := range clients {
		client.send("next") // nobody reads now
	}
	if err := set.Free(flows); err != nil {
		t.Error(err)
	}
	for client, before := range clients {
		if got := client.hear(); before != "gone early" && got != before || got == "gone next" {
			t.Errorf("a client whose first answer was %q got %q", before, got)
		}
	}
	if n := heir.pool.Snapshot().Requests(); n != uint64(gone) {
		t.Errorf("%d conversations were counted anew instead of %d", n, gone)
	}
}

// What a client of UDP was waiting for still comes, and what it sends next
// reaches who answered, from the same address.
func TestLeaveUDPAnswersLate(t *testing.T) {
	t.Parallel()
	old, back, _, address := listenUDP(t)
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	hears := func(want string) net.Addr {
		t.Helper()
		buffer := make([]byte, maxDatagram)
		n, from, err := server.ReadFrom(buffer)
		if err != nil || string(buffer[:n]) != want {
			t.Fatalf("the server heard %q instead of %q: %v", buffer[:n], want, err)
		}
		return from
	}
	back.Add("late", server.LocalAddr().String())
	client := dialUDP(t, address)
	client.send("question")
	from := hears("question")
	heir, set := heirOf(t, old, HTTP)
	heir.pool.Add("late", server.LocalAddr().String())
	if err := set.Free(old.Leave()); err != nil {
		t.Error(err)
	}
	if _, err := server.WriteTo([]byte("answer"), from); err != nil {
		t.Fatal(err)
	}
	if got := client.hear(); got != "answer" {
		t.Errorf("the answer that was due: %q", got)
	}
	client.send("next")
	if now := hears("next"); now.String() != from.String() {
		t.Errorf("the client was %s and is %s", from, now)
	}
}
