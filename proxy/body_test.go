package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTrailersBothWays(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.Copy(w, r.Body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", "1")
	})))
	r, _ := http.NewRequest("POST", f.url("/"), io.MultiReader(strings.NewReader("one"), strings.NewReader("two")))
	r.Trailer = http.Header{"X-Sum": {"42"}}
	res, err := newClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "onetwo" {
		t.Fatalf("body %q, %v", body, err)
	}
	if diff := cmp.Diff(http.Header{"X-Sum": {"42"}, "X-Unannounced": {"1"}}, res.Trailer); diff != "" {
		t.Errorf("trailers (-want +got):\n%s", diff)
	}
}

func TestInterimAnswers(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		io.WriteString(w, "done")
	})))
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, h.Get("Link")))
			return nil
		},
	})
	r, _ := http.NewRequestWithContext(ctx, "GET", f.url("/"), nil)
	res, err := newClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if diff := cmp.Diff([]string{"103</a.css>"}, hints); diff != "" || res.Header.Get("Link") != "" {
		t.Errorf("hints %v, final Link %q", hints, res.Header.Get("Link"))
	}
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		io.Copy(w, r.Body)
	})))
	head := "POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"

	conn := dialRaw(t, f.address)
	fmt.Fprintf(conn, head, "/take")
	in := bufio.NewReader(conn)
	if line, _ := in.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, want a 100", line)
	}
	in.ReadString('\n')
	io.WriteString(conn, "hello")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(res.Body); string(body) != "hello" {
		t.Errorf("body %q", body)
	}

	// The refusal arrives although the body was never sent.
	conn = dialRaw(t, f.address)
	fmt.Fprintf(conn, head, "/refuse")
	res, err = http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusExpectationFailed {
		t.Errorf("got %v, %v; want a 417", res, err)
	}
}

// Each part of a chunked request arrives, and each part of the answer comes
// back, before the next is sent.
func TestChunkedAndFullDuplex(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		c.EnableFullDuplex()
		buffer := make([]byte, 64)
		for {
			n, err := r.Body.Read(buffer)
			w.Write(bytes.ToUpper(buffer[:n]))
			c.Flush()
			if err != nil {
				return
			}
		}
	})))
	body, feed := io.Pipe()
	go io.WriteString(feed, "a")
	res, err := newClient(t).Post(f.url("/"), "text/plain", body)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got := make([]byte, 1)
	for _, want := range "ABC" {
		if _, err := io.ReadFull(res.Body, got); err != nil || rune(got[0]) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
		if want != 'C' {
			io.WriteString(feed, string(want+1))
		}
	}
	feed.Close()
	if rest, err := io.ReadAll(res.Body); len(rest) != 0 || err != nil {
		t.Errorf("rest %q, %v", rest, err)
	}
}

// An answer that comes before the body has been sent gets through, and the
// back end's connection does not stay half used.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})))
	conn := dialRaw(t, f.address)
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("got %v, %v", res, err)
	}
	if !res.Close {
		t.Error("the client is not told that the connection ends")
	}
	eventually(t, "nothing in flight", func() bool {
		for _, b := range f.pool.Snapshot().Backends {
			if b.InFlight > 0 {
				return false
			}
		}
		return true
	})
}

// The beginning of a body is kept for another attempt, until an answer begins that
// makes one impossible; but what the attempt itself has not sent yet is still there.
func TestBodyIsKeptUntilItIsAnswered(t *testing.T) {
	t.Parallel()
	const text = "hello"
	answer := func(ctx context.Context) { httptrace.ContextClientTrace(ctx).GotFirstResponseByte() }
	newBody := func() *requestBody {
		return &requestBody{body: io.NopCloser(strings.NewReader(text)), within: func(time.Duration) {}}
	}
	for _, before := range []int{0, 1, len(text)} {
		b := newBody()
		a, ctx := b.attempt(t.Context())
		io.ReadFull(a, make([]byte, before))
		if string(b.kept.bytes) != text[:before] {
			t.Errorf("%q is kept, not what was read", b.kept.bytes)
		}
		answer(ctx)
		if rest, err := io.ReadAll(a); string(rest) != text[before:] || err != nil {
			t.Errorf("%q comes after the answer: %v", rest, err)
		}
		if len(b.kept.bytes) > 0 || !b.spent() {
			t.Errorf("%q is still kept", b.kept.bytes)
		}
	}

	b := newBody()
	a, ctx := b.attempt(t.Context())
	io.ReadAll(a)
	answer(ctx)
	if len(b.kept.bytes) > 0 {
		t.Errorf("%q is kept after the answer to all of it", b.kept.bytes)
	}

	b = newBody()
	a, _ = b.attempt(t.Context())
	io.ReadFull(a, make([]byte, len(text)))
	a, ctx = b.attempt(t.Context())
	io.ReadFull(a, make([]byte, 1))
	answer(ctx)
	if rest, err := io.ReadAll(a); string(rest) != text[1:] || err != nil {
		t.Errorf("%q comes of a body that was read before: %v", rest, err)
	}
}

// A client that stops sending in the middle of its request is told, and keeps
// nothing in flight, although no byte of it comes any more.
func TestDrainDeadlineCutsStalledUploads(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	begun := make(chan struct{})
	b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		io.Copy(io.Discard, r.Body)
	}))
	f.add(b)
	conn := dialRaw(t, f.address)
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegin")
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := f.pool.Drain(ctx, b.id, 50*time.Millisecond); err != nil {
		t.Errorf("drain: %v", err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %v, %v", res, err)
	}
}

// What is passed on as chunks stays below what the head of a chunk can say,
// also where the head of the request needed a large buffer.
func TestLargeRequestHeadAndLargeAnswer(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	body := strings.Repeat("0123456789abcdef", 1<<18)
	newRawBackend(t, f, func(conn net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err == nil {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"+body) // ends with the connection
		}
	})
	for range 5 {
		conn := dialRaw(t, f.address)
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: a\r\nX-Large: %s\r\n\r\n", strings.Repeat("a", 200<<10))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(res.Body); err != nil || string(got) != body {
			t.Fatalf("%d bytes of %d, %v", len(got), len(body), err)
		}
	}
}

// Not parallel: it looks at the memory of the whole process.
func TestLargeBodiesAreStreamed(t *testing.T) {
	const size = 128 << 20
	f := newFront(t, HTTP, Options{})
	f.add(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		io.Copy(sum, r.Body)
		w.Header().Set("X-Sum", fmt.Sprintf("%x", sum.Sum(nil)))
		w.Header().Set("Content-Length", fmt.Sprint(size))
		io.Copy(w, io.LimitReader(&pattern{}, size))
	})))
	want := sha256.New()
	io.Copy(want, io.LimitReader(&pattern{}, size))
	var before runtime.MemStats
	runtime.ReadMemStats(&before)

	r, _ := http.NewRequest("POST", f.url("/"), io.LimitReader(&pattern{}, size))
	r.ContentLength = size
	res, err := newClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got := sha256.New()
	if n, err := io.Copy(got, res.Body); n != size || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	if sum := fmt.Sprintf("%x", want.Sum(nil)); res.Header.Get("X-Sum") != sum || fmt.Sprintf("%x", got.Sum(nil)) != sum {
		t.Error("bytes changed on the way")
	}
	if grown := mem.Sys - before.Sys; grown > size/4 {
		t.Errorf("%d MB of memory for 2 x %d MB of body", grown>>20, size>>20)
	}
}

// pattern is an endless stream of bytes that tells shifted from right.
type pattern struct{ at int }

var patternBytes = func() (b [32<<10 + 251]byte) {
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}()

func (s *pattern) Read(p []byte) (int, error) {
	n := copy(p, patternBytes[s.at:])
	s.at = (s.at + n) % 251
	return n, nil
}
