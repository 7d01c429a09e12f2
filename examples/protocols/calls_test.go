package main_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// startCalls has calls of each kind made on one connection. The servers send
// GOAWAY twice a second; no call may fail by it.
func (c *clients) startCalls(ctx context.Context, t *testing.T, name, address string) {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client := pb.NewTestServiceClient(conn)
	for kind, call := range map[string]func(context.Context, pb.TestServiceClient) error{
		"unary": unary, "stream": stream, "chat": chat, "deadline": deadline,
	} {
		c.start(ctx, "gRPC "+kind+" "+name, func(ctx context.Context) error { return call(ctx, client) })
	}
}

func unary(ctx context.Context, client pb.TestServiceClient) error {
	for n := range 100 {
		want := fmt.Sprint("call ", n)
		r, err := client.UnaryCall(ctx, &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte(want)}})
		if err != nil {
			return err
		}
		if got := string(r.Payload.Body); got != want {
			return fmt.Errorf("%w: sent %q, got %q", errUnexpected, want, got)
		}
	}
	return nil
}

// stream takes longer than the servers keep a connection.
func stream(ctx context.Context, client pb.TestServiceClient) error {
	r := &pb.StreamingOutputCallRequest{}
	for range 20 {
		r.ResponseParameters = append(r.ResponseParameters, &pb.ResponseParameters{Size: 1000, IntervalUs: 50_000})
	}
	s, err := client.StreamingOutputCall(ctx, r)
	if err != nil {
		return err
	}
	for range r.ResponseParameters {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		if len(m.Payload.Body) != 1000 {
			return fmt.Errorf("%w of %d bytes", errUnexpected, len(m.Payload.Body))
		}
	}
	return nil
}

func chat(ctx context.Context, client pb.TestServiceClient) error {
	s, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for n := range 50 {
		want := fmt.Sprint("message ", n)
		if err := s.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: []byte(want)}}); err != nil {
			return err
		}
		m, err := s.Recv()
		if err != nil {
			return err
		}
		if got := string(m.Payload.Body); got != want {
			return fmt.Errorf("%w: sent %q, got %q", errUnexpected, want, got)
		}
	}
	return s.CloseSend()
}

// deadline asks for an answer that comes too late.
func deadline(ctx context.Context, client pb.TestServiceClient) error {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	s, err := client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{
		ResponseParameters: []*pb.ResponseParameters{{Size: 1, IntervalUs: int32(time.Minute / time.Microsecond)}},
	})
	if err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.DeadlineExceeded {
		return fmt.Errorf("%w past a deadline: %w", errUnexpected, err)
	}
	return nil
}
