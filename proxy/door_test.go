package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"skiff/proxy/http1"
	"skiff/proxy/pool"
)

// byHost sends requests for a.test to a, those for h2.test to a as HTTP/2, and
// no others.
type byHost struct{ a *front }

func (b byHost) Route(host, path string) (Destination, error) {
	switch host {
	case "a.test":
		return Destination{Pool: b.a.pool}, nil
	case "h2.test":
		return Destination{Pool: b.a.pool, H2C: true}, nil
	case "safe.test", "safe.test:80", "[::1]:80":
		return Destination{Pool: b.a.pool, HTTPS: 443}, nil
	case "far.test":
		return Destination{Pool: b.a.pool, HTTPS: 8443}, nil
	}
	return Destination{}, &http1.Refusal{Status: http.StatusNotFound, Reason: "nothing at " + path}
}

// newDoors opens a door without TLS and one with it.
func newDoors(t *testing.T, handler http.Handler) (plain, secure string, f *front, trust *x509.CertPool) {
	t.Helper()
	f = newFront(t, HTTP, Options{Log: slog.New(slog.DiscardHandler)})
	f.add(newBackend(t, handler))
	some := httptest.NewUnstartedServer(nil)
	some.StartTLS()
	t.Cleanup(some.Close)
	trust = x509.NewCertPool()
	trust.AddCert(some.Certificate())
	config := &tls.Config{Certificates: some.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}}
	nowhere := f.NewPool()
	plain = f.listen(t, Listener{Name: "plain", Mode: HTTP, Pool: nowhere, Router: byHost{f}})
	secure = f.listen(t, Listener{Name: "secure", Mode: HTTP, Pool: nowhere, Router: byHost{f}, TLS: config})
	return plain, secure, f, trust
}

func dialTLS(t *testing.T, address string, trust *x509.CertPool) net.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: trust, ServerName: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// http2Client asks for all hosts at one address.
func http2Client(t *testing.T, address string, trust *x509.CertPool) *http.Client {
	client := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: trust, ServerName: "example.com"},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		},
	}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// Each request goes where its host leads, on one connection: over TLS as
// without, with HTTP/2 on either side.
func TestDoors(t *testing.T) {
	t.Parallel()
	plain, secure, f, trust := newDoors(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %s", r.Proto, r.Host, r.Header.Get("X-Forwarded-Proto"), r.Header["Forwarded"][0][len("for=127.0.0.1;host="):], body)
	}))
	for _, scheme := range []string{"http", "https"} {
		conn, err := net.Dial("tcp", plain)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if scheme == "https" {
			conn = dialTLS(t, secure, trust)
		}
		r := bufio.NewReader(conn)
		for _, ask := range []struct{ request, status, body string }{
			{"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n", "200", "HTTP/1.1 a.test " + scheme + " a.test;proto=" + scheme + " "},
			{"GET /x?y HTTP/1.1\r\nHost: b.test\r\n\r\n", "404", "404 not found: nothing at /x\n"},
			{"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody", "200", "HTTP/1.1 a.test " + scheme + " a.test;proto=" + scheme + " body"},
			{"POST /x HTTP/1.1\r\nHost: h2.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody", "200",
				"HTTP/2.0 h2.test " + scheme + " h2.test;proto=" + scheme + " body"},
			{"GET /z HTTP/1.1\r\nHost: b.test\r\n\r\n", "404", "404 not found: nothing at /z\n"},
		} {
			io.WriteString(conn, ask.request)
			res, err := http.ReadResponse(r, nil)
			if err == nil && res.StatusCode == http.StatusContinue {
				res, err = http.ReadResponse(r, nil)
			}
			if err != nil {
				t.Fatalf("%s: ask %q: %v", scheme, ask.request, err)
			}
			body, _ := io.ReadAll(res.Body)
			if !strings.HasPrefix(res.Status, ask.status) || string(body) != ask.body {
				t.Errorf("%s: %q: got %s %q, want %s %q", scheme, ask.request, res.Status, body, ask.status, ask.body)
			}
		}
	}
	client := http2Client(t, secure, trust)
	for host, want := range map[string]string{"a.test": "200 HTTP/1.1 a.test https a.test;proto=https body", "b.test": "404 404 not found: nothing at /%2f\n"} {
		res, err := client.Post("https://"+host+"/%2f?q", "", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if got := fmt.Sprintf("%d %s", res.StatusCode, body); got != want || res.ProtoMajor != 2 {
			t.Errorf("%s: got %s (%s), want %s", host, got, res.Proto, want)
		}
	}
	if got := talk(t, secure, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.Contains(got, "https://") {
		t.Errorf("plain HTTP at the TLS door: %q", got)
	}
	seen(t, "requests of the Service", 7, func() uint64 { return f.pool.Snapshot().Requests() })
}

// A host that wants TLS sends to where that is spoken, whatever is asked for and
// in whichever way, and the connection goes on.
func TestSentToTLS(t *testing.T) {
	t.Parallel()
	plain, secure, f, trust := newDoors(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	conn, err := net.Dial("tcp", plain)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for _, ask := range []struct{ request, want string }{
		{"GET /x?y=z HTTP/1.1\r\nHost: safe.test\r\n\r\n", "https://safe.test/x?y=z"},
		{"GET //evil.test/%0d%0a HTTP/1.1\r\nHost: safe.test:80\r\n\r\n", "https://safe.test//evil.test/%0d%0a"},
		{"HEAD / HTTP/1.1\r\nHost: far.test\r\n\r\n", "https://far.test:8443/"},
		{"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "https://[::1]/"},
		{"GET /x?y=z HTTP/1.1\r\nHost: far.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "https://far.test:8443/x?y=z"},
		{"GET http://far.test/x?y=z HTTP/1.1\r\nHost: far.test\r\n\r\n", "https://far.test:8443/x?y=z"},
		{"OPTIONS * HTTP/1.1\r\nHost: safe.test\r\n\r\n", "https://safe.test/"},
	} {
		io.WriteString(conn, ask.request)
		method, _, _ := strings.Cut(ask.request, " ")
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("ask %q: %v", ask.request, err)
		}
		io.Copy(io.Discard, res.Body)
		if got := res.Header.Get("Location"); got != ask.want || res.StatusCode != http.StatusPermanentRedirect || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %s to %q, want %q", ask.request, res.Status, got, ask.want)
		}
	}
	over := dialTLS(t, secure, trust)
	io.WriteString(over, "GET / HTTP/1.1\r\nHost: safe.test\r\nConnection: close\r\n\r\n")
	if got, err := io.ReadAll(over); err != nil || !strings.HasSuffix(string(got), "\r\n\r\nsafe.test") {
		t.Errorf("over TLS: %q, %v", got, err)
	}
	if n := f.pool.Snapshot().Requests(); n != 1 {
		t.Errorf("%d requests went on", n)
	}
}

// What two servers could read in two ways is refused over TLS as it is without.
func TestSmugglingOverTLS(t *testing.T) {
	t.Parallel()
	plain, secure, f, trust := newDoors(t, http.NotFoundHandler())
	const host = "Host: a.test\r\n"
	for _, request := range []string{
		"POST / HTTP/1.1\r\n" + host + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\n" + host + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
		"POST / HTTP/1.1\r\n" + host + "Content-Length: +4\r\n\r\nbody",
		"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "X: a\rContent-Length: 4\r\n\r\n",
		"GET / HTTP/1.1\n" + host + "\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\n\r\n",
		"GET / HTTP/1.1\r\n" + host + host + "\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test/b\r\n\r\n",
		"GET  / HTTP/1.1\r\n" + host + "\r\n",
		"GET / HTTP/1.1 \r\n" + host + "\r\n",
		"GET / HTTP/1.1\r\n" + host + "X\x00: a\r\n\r\n",
	} {
		for _, over := range []string{plain, secure} {
			conn, err := net.Dial("tcp", over)
			if err != nil {
				t.Fatal(err)
			}
			if over == secure {
				conn = tls.Client(conn, &tls.Config{RootCAs: trust, ServerName: "example.com"})
			}
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			io.WriteString(conn, request)
			answer, err := io.ReadAll(conn)
			conn.Close()
			if status := string(answer[:min(len(answer), 12)]); err != nil || status != "HTTP/1.1 400" && status != "HTTP/1.1 501" || strings.Count(string(answer), "HTTP/1.1 ") != 1 {
				t.Errorf("%q: got %q, %v; TLS: %t", request, answer, err, over == secure)
			}
		}
	}
	if n := f.pool.Snapshot().Requests(); n != 0 {
		t.Errorf("%d of them went on", n)
	}
}

// A client that says nothing, within TLS or before, does not hold up the end,
// and one that leaves is noticed while its request waits.
func TestSilentTLSClients(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	_, secure, f, trust := newDoors(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	conn := dialTLS(t, secure, trust)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	<-arrived
	conn.Close()
	seen(t, "clients that left", 1, func() uint64 { return f.pool.Snapshot().Failures[pool.ClientGone] })
	silent, err := net.Dial("tcp", secure)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	rests := dialTLS(t, secure, trust)
	f.Close(secure)
	for _, c := range []net.Conn{silent, rests} {
		c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("a silent client is kept: %v", err)
		}
	}
}

// seen waits until something has been counted so often.
func seen(t *testing.T, what string, want uint64, count func() uint64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); count() != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d %s, want %d", count(), what, want)
		}
	}
}
