package main

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
)

// maxAge has the server send GOAWAY twice a second, as those do that want their
// connections balanced anew: clients must not notice.
const maxAge = 500 * time.Millisecond

func calls(version string) *grpc.Server {
	s := grpc.NewServer(grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: maxAge}))
	pb.RegisterTestServiceServer(s, caller{version: version})
	return s
}

type caller struct {
	pb.UnimplementedTestServiceServer
	version string
}

func (c caller) UnaryCall(_ context.Context, r *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	return &pb.SimpleResponse{Payload: r.Payload, ServerId: c.version}, nil
}

// StreamingOutputCall sends answers of the sizes and at the intervals that are
// asked for.
func (c caller) StreamingOutputCall(r *pb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	for _, p := range r.ResponseParameters {
		select {
		case <-time.After(time.Duration(p.IntervalUs) * time.Microsecond):
		case <-s.Context().Done():
			return s.Context().Err()
		}
		size := min(max(p.Size, 0), 1<<20)
		if err := s.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, size)}}); err != nil {
			return err
		}
	}
	return nil
}

// FullDuplexCall sends every message back.
func (c caller) FullDuplexCall(s grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&pb.StreamingOutputCallResponse{Payload: r.Payload}); err != nil {
			return err
		}
	}
}
