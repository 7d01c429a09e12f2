package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"

	"skiff/proxy"
	"skiff/proxy/pool"
)

// Where everybody listens.
const (
	backendAddress    = "127.0.0.1:18080"
	nginxAddress      = "127.0.0.1:18081"
	haproxyAddress    = "127.0.0.1:18082"
	haproxyTCPAddress = "127.0.0.1:18083"
	skiffAddress      = "127.0.0.1:18084"
	skiffTCPAddress   = "127.0.0.1:18085"
)

// serveBackend answers /N with N bytes.
func serveBackend(ctx context.Context) error {
	text := []byte(strings.Repeat("x", 1<<20))
	server := &http.Server{Addr: backendAddress, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil || n < 0 || n > len(text) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(n))
		w.Write(text[:n])
	})}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// serveSkiff is skiff's data path alone.
func serveSkiff(ctx context.Context, profile string) error {
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1) // as skiff does
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	p := proxy.New(proxy.Options{})
	backends := p.NewPool()
	defer backends.Close()
	backends.Replace([]pool.Member{{ID: "backend", Address: backendAddress}}, pool.Expectation{})
	for _, l := range []proxy.Listener{
		{Name: "http", Address: skiffAddress, Mode: proxy.HTTP, Pool: backends},
		{Name: "tcp", Address: skiffTCPAddress, Mode: proxy.TCP, Pool: backends},
	} {
		if err := p.Listen(ctx, l); err != nil {
			return err
		}
	}
	return p.Run(ctx)
}
