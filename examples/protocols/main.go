// Command protocols answers in every protocol that a Service forwards, so that
// any client can be tried against it:
//
//	:8080      HTTP/1.1: / says which version answers, POST /echo sends the body
//	           back with its SHA-256 as a trailer, /ws echoes a WebSocket,
//	           /events is a stream of server-sent events
//	:9090      gRPC: grpc.testing.TestService
//	:7000      TCP: sends back what comes, and "end" after the client's end
//	:7000/udp  UDP: sends every datagram back
//
// VERSION is what it calls itself. At SIGTERM it drops everything.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	version := os.Getenv("VERSION")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	failed := make(chan error, 4)
	go func() {
		srv := &http.Server{Addr: ":8080", Handler: web(version), ReadHeaderTimeout: 10 * time.Second}
		failed <- srv.ListenAndServe()
	}()
	go func() { failed <- on(":9090", calls(version).Serve) }()
	go func() { failed <- on(":7000", echoConns) }()
	go func() { failed <- echoDatagrams(":7000") }()
	log.Printf("version %s listens", version)
	select {
	case err := <-failed:
		log.Fatal(err)
	case <-ctx.Done():
		log.Fatal(errors.New("SIGTERM: dropping everything"))
	}
}

func on(address string, serve func(net.Listener) error) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return serve(l)
}
