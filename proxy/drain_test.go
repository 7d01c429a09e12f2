package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"skiff/proxy/pool"
)

// load sends requests until stopped and notes what goes wrong.
type load struct {
	stop     chan struct{}
	clients  sync.WaitGroup
	requests atomic.Int64
	lost     atomic.Int64
}

func (l *load) run(t *testing.T, n int, request func(i int) error) {
	for range n {
		l.clients.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.stop:
					return
				default:
				}
				l.requests.Add(1)
				if err := request(i); err != nil {
					if l.lost.Add(1) < 5 {
						t.Errorf("lost: %v", err)
					}
				}
			}
		})
	}
}

func (l *load) end(t *testing.T) {
	close(l.stop)
	l.clients.Wait()
	if l.lost.Load() > 0 {
		t.Errorf("%d of %d requests lost", l.lost.Load(), l.requests.Load())
	}
}

func (l *load) more(t *testing.T, n int64) {
	target := l.requests.Load() + n
	eventually(t, "more requests", func() bool { return l.requests.Load() >= target })
}

func echoOnce(client *http.Client, url string, body []byte, repeat int) error {
	payload := bytes.Repeat(body, repeat)
	res, err := client.Post(url, "text/plain", bytes.NewReader(payload))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != 200 || !bytes.Equal(got, payload) {
		return fmt.Errorf("%s, %d of %d bytes: %.60s", res.Status, len(got), len(payload), got)
	}
	return nil
}

// echoSlowly is an application that takes its time over every tenth request.
func echoSlowly() http.Handler {
	var n atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if n.Add(1)%10 == 0 {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
		w.Write(body)
	})
}

// The first promise: back ends that drop everything the moment their drain has
// returned, one after the other and all of them at once, cost no request.
func TestNoRequestIsLostWhenBackEndsAreReplaced(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d replicas", replicas), func(t *testing.T) {
			t.Parallel()
			f := newFront(t, HTTP, Options{})
			var old []*backend
			for range replicas {
				b := newBackend(t, echoSlowly())
				old = append(old, b)
				f.add(b)
			}
			l := &load{stop: make(chan struct{})}
			keepAlive, oneShot := newClient(t), newClient(t)
			oneShot.Transport.(*http.Transport).DisableKeepAlives = true
			l.run(t, 8, func(i int) error { return echoOnce(keepAlive, f.url("/"), []byte("0123456789"), 1+i%500) })
			l.run(t, 2, func(int) error { return echoOnce(oneShot, f.url("/"), []byte("x"), 10) })

			for range 10 {
				for i, b := range old {
					next := newBackend(t, echoSlowly())
					f.add(next)
					l.more(t, 20)
					f.drain(t, b)
					b.rudeStop()
					old[i] = next
				}
				l.more(t, 50)
			}
			l.end(t)
			if s := f.pool.Snapshot(); s.Failed() > 0 || s.CutAtDrain > 0 {
				t.Errorf("counted failures %v, cut %d", s.Failures, s.CutAtDrain)
			}
		})
	}
}

// The same with a gap: the old one goes before the new one comes.
func TestNoRequestIsLostAcrossAGap(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	expectComing(f)
	now := newBackend(t, echoSlowly())
	f.add(now)
	l := &load{stop: make(chan struct{})}
	client := newClient(t)
	l.run(t, 8, func(i int) error { return echoOnce(client, f.url("/"), []byte("ab"), 1+i%50) })
	for range 10 {
		l.more(t, 50)
		f.drain(t, now)
		now.rudeStop()
		eventually(t, "requests are held", func() bool { return f.pool.Snapshot().Waiting >= 4 })
		now = newBackend(t, echoSlowly())
		f.add(now)
	}
	l.more(t, 50)
	l.end(t)
	if s := f.pool.Snapshot(); s.Held.Count() == 0 || s.Held.Quantile(1) == 0 {
		t.Errorf("held %d, longest %s", s.Held.Count(), s.Held.Quantile(1))
	}
}

// A request that takes long is finished, however long the drain waits for it.
func TestSlowRequestIsFinished(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	release, seen := make(chan struct{}), make(chan struct{})
	b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first,")
		w.(http.Flusher).Flush()
		close(seen)
		<-release
		io.WriteString(w, "second")
	}))
	f.add(b)
	answer := make(chan string, 1)
	client := newClient(t)
	go func() {
		res, err := client.Get(f.url("/"))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		answer <- fmt.Sprint(string(body), err)
	}()
	<-seen
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		f.drain(t, b)
		b.rudeStop()
	}()
	eventually(t, "the back end is leaving", func() bool { return f.pool.Snapshot().Backends[0].State == "leaving" })
	select {
	case <-drained:
		t.Error("drained while a request was in flight")
	default:
	}
	close(release)
	if got := <-answer; got != "first,second<nil>" {
		t.Errorf("got %s", got)
	}
	<-drained
}

// When drain returns, the back end has no connection of ours any more, not even
// that of a request that was in flight: a server that shuts down may wait long
// for one that carries nothing.
func TestDrainLeavesNoConnection(t *testing.T) {
	t.Parallel()
	var open atomic.Int64
	f := newFront(t, HTTP, Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			open.Add(1)
		}
		return &countedConn{Conn: conn, open: &open}, err
	}})
	slow, seen := make(chan struct{}), make(chan struct{})
	b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(seen)
			<-slow
		}
	}))
	f.add(b)
	client := newClient(t)
	var all, last sync.WaitGroup
	for range 32 {
		all.Go(func() { get(t, client, f.url("/")) })
	}
	all.Wait()
	last.Go(func() { get(t, client, f.url("/slow")) })
	<-seen
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		f.drain(t, b)
		if n := open.Load(); n != 0 {
			t.Errorf("%d connections are open after the drain", n)
		}
	}()
	eventually(t, "all idle connections are closed", func() bool { return open.Load() == 1 })
	close(slow)
	<-drained
	last.Wait()
}

type countedConn struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

func TestDrainDeadlineCutsRequests(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	seen := make(chan struct{}, 2)
	hang := func(begin bool) *backend {
		return newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if begin {
				io.WriteString(w, "half an ans")
				w.(http.Flusher).Flush()
			}
			seen <- struct{}{}
			<-r.Context().Done()
		}))
	}
	for _, begun := range []bool{false, true} {
		b := hang(begun)
		f.add(b)
		type result struct {
			status int
			body   string
			err    error
		}
		got, answered := make(chan result, 1), make(chan struct{})
		client := newClient(t)
		go func() {
			res, err := client.Get(f.url("/"))
			if err != nil {
				got <- result{err: err}
				return
			}
			defer res.Body.Close()
			close(answered)
			body, err := io.ReadAll(res.Body)
			got <- result{res.StatusCode, string(body), err}
		}()
		<-seen
		if begun {
			<-answered
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.pool.Drain(ctx, b.id, 0); err != nil {
			t.Errorf("drain: %v", err)
		}
		r := <-got
		if begun && r.err == nil {
			t.Errorf("a cut answer looks complete: %+v", r)
		}
		if !begun && (r.status != 503 || !strings.Contains(r.body, "grace period")) {
			t.Errorf("got %+v, want a 503 that says why", r)
		}
	}
	if s := f.pool.Snapshot(); s.Failures[pool.Cut] != 2 {
		t.Errorf("failures %v", s.Failures)
	}
}
