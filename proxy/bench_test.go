package proxy

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Each benchmark runs against the back end and through the proxy; client,
// proxy and back end share the machine.
func throughAndDirect(b *testing.B, mode Mode, handler http.Handler, bench func(b *testing.B, address string)) {
	back := newBackend(b, handler)
	b.Run("direct", func(b *testing.B) { bench(b, back.address) })
	f := newFront(b, mode, Options{Log: slog.New(slog.DiscardHandler)})
	f.add(back)
	b.Run("proxy", func(b *testing.B) { bench(b, f.address) })
}

func requests(keepAlive bool) func(b *testing.B, address string) {
	return func(b *testing.B, address string) {
		transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableKeepAlives: !keepAlive, DisableCompression: true}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		b.SetParallelism(8)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				res, err := client.Get("http://" + address + "/")
				if err != nil {
					b.Error(err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
}

func body(n int) http.Handler {
	text := strings.Repeat("x", n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(n))
		io.WriteString(w, text)
	})
}

func BenchmarkHTTP100B(b *testing.B) { throughAndDirect(b, HTTP, body(100), requests(true)) }

func BenchmarkHTTPNewConnections(b *testing.B) {
	throughAndDirect(b, HTTP, body(100), requests(false))
}

func BenchmarkHTTP1MB(b *testing.B) {
	throughAndDirect(b, HTTP, body(1<<20), func(b *testing.B, address string) {
		b.SetBytes(1 << 20)
		requests(true)(b, address)
	})
}

func BenchmarkTCP100B(b *testing.B) { throughAndDirect(b, TCP, body(100), requests(true)) }

func BenchmarkTCPStream(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go io.Copy(io.Discard, conn)
		}
	}()
	stream := func(b *testing.B, address string) {
		conn := dialRaw(b, address)
		chunk := make([]byte, 1<<20)
		b.SetBytes(int64(len(chunk)))
		for b.Loop() {
			if _, err := conn.Write(chunk); err != nil {
				b.Fatal(err)
			}
		}
	}
	f := newFront(b, TCP, Options{Log: slog.New(slog.DiscardHandler)})
	f.pool.Add("sink", listener.Addr().String())
	b.Run("direct", func(b *testing.B) { stream(b, listener.Addr().String()) })
	b.Run("proxy", func(b *testing.B) { stream(b, f.address) })
}
