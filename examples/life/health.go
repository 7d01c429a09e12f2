package main

import (
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// healthCheck serves the protocol of gRPC probes: it is well, whoever asks.
func healthCheck() error {
	listener, err := net.Listen("tcp", net.JoinHostPort("", os.Getenv("PORT")))
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	return server.Serve(listener)
}
