package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"skiff/proxy/pool"
)

type text = wrapperspb.StringValue

// echoService answers unary calls and streams without generated code.
var echoService = grpc.ServiceDesc{
	ServiceName: "test.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(text)
		if err := decode(in); err != nil {
			return nil, err
		}
		if in.Value == "fail" {
			return nil, status.Error(codes.FailedPrecondition, "asked to fail")
		}
		grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", in.Value))
		return wrapperspb.String(srv.(string) + ":" + in.Value), nil
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: chat}},
}

func chat(srv any, s grpc.ServerStream) error {
	for {
		in := new(text)
		if err := s.RecvMsg(in); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.SendMsg(wrapperspb.String(srv.(string) + ":" + in.Value)); err != nil {
			return err
		}
	}
}

func newGRPCBackend(t *testing.T, id string) (address string, server *grpc.Server) {
	t.Helper()
	return newGRPCServer(t, id, chat)
}

// newGRPCServer has a Chat of its own.
func newGRPCServer(t *testing.T, id string, chat grpc.StreamHandler) (address string, server *grpc.Server) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := echoService
	service.Streams = []grpc.StreamDesc{{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: chat}}
	server = grpc.NewServer()
	server.RegisterService(&service, id)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String(), server
}

func grpcClient(t *testing.T, f *front) *grpc.ClientConn {
	t.Helper()
	client, err := grpc.NewClient("passthrough:///"+f.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func say(ctx context.Context, client *grpc.ClientConn, what string, options ...grpc.CallOption) (string, error) {
	out := new(text)
	err := client.Invoke(ctx, "/test.Echo/Say", wrapperspb.String(what), out, options...)
	return out.Value, err
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	address, _ := newGRPCBackend(t, "a")
	f.pool.Add("a", address)
	client := grpcClient(t, f)

	var trailer metadata.MD
	if got, err := say(t.Context(), client, "hello", grpc.Trailer(&trailer)); err != nil || got != "a:hello" {
		t.Fatalf("%q, %v", got, err)
	}
	if got := trailer.Get("x-trailer"); len(got) != 1 || got[0] != "hello" {
		t.Errorf("trailer %v", trailer)
	}
	if _, err := say(t.Context(), client, "fail"); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v", err)
	}
	stream, err := client.NewStream(t.Context(), &echoService.Streams[0], "/test.Echo/Chat")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		out := new(text)
		if err := errors.Join(stream.SendMsg(wrapperspb.String(fmt.Sprint(i))), stream.RecvMsg(out)); err != nil || out.Value != fmt.Sprint("a:", i) {
			t.Fatalf("%q, %v", out.Value, err)
		}
	}
	stream.CloseSend()
	if err := stream.RecvMsg(new(text)); err != io.EOF {
		t.Errorf("the stream ended with %v", err)
	}
	f.pool.Remove("a")
	if _, err := say(t.Context(), client, "hello"); status.Code(err) != codes.Unavailable {
		t.Errorf("without a back end: %v", err)
	}
}

// At its deadline a call is given up by the client and by the back end, and
// either may be first.
func TestGRPCDeadline(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	address, _ := newGRPCBackend(t, "a")
	f.pool.Add("a", address)
	client := grpcClient(t, f)
	var all sync.WaitGroup
	for n := range 200 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(50+n)*time.Millisecond)
			defer cancel()
			stream, err := client.NewStream(ctx, &echoService.Streams[0], "/test.Echo/Chat")
			if err == nil && n%2 == 0 { // one that has been answered before
				err = errors.Join(stream.SendMsg(wrapperspb.String("hello")), stream.RecvMsg(new(text)))
			}
			if err == nil {
				err = stream.RecvMsg(new(text))
			}
			if status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("call %d: %v", n, err)
			}
		})
	}
	all.Wait()
}

// A call that rests is a stream: it ends with the drain, in words that have the
// client try again, and its Pod does not wait for it until its grace period is
// over. One that goes on, or has not been answered, is a request, which has that
// time.
func TestDrainEndsGRPCStreams(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	address, server := newGRPCBackend(t, "a")
	f.pool.Add("a", address)
	client := grpcClient(t, f)
	open := func() grpc.ClientStream {
		stream, err := client.NewStream(t.Context(), &echoService.Streams[0], "/test.Echo/Chat")
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	talk := func(stream grpc.ClientStream) error {
		return errors.Join(stream.SendMsg(wrapperspb.String("hello")), stream.RecvMsg(new(text)))
	}
	long, silent, busy := open(), open(), open()
	if err := errors.Join(talk(long), talk(busy)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the calls are in flight", func() bool { return f.pool.InFlight("a") == 3 })
	rested := make(chan struct{})
	talked := make(chan error, 1)
	go func() {
		for {
			if err := talk(busy); err != nil {
				talked <- err
				return
			}
			select {
			case <-rested:
				talked <- busy.CloseSend()
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	drained := make(chan error, 1)
	go func() { drained <- f.pool.Drain(t.Context(), "a", 10*time.Millisecond) }()
	if err := long.RecvMsg(new(text)); status.Code(err) != codes.Unavailable {
		t.Errorf("the call that rests ended with %v", err)
	}
	if n := f.pool.InFlight("a"); n != 2 {
		t.Errorf("%d calls are in flight, want the one that goes on and the one that is not answered", n)
	}
	close(rested)
	if err := <-talked; err != nil {
		t.Errorf("the call that goes on: %v", err)
	}
	silent.CloseSend()
	server.GracefulStop()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if tally := f.pool.Counts().Revisions[""]; tally.Drained[pool.Calls] != 1 || tally.Failed() != 0 {
		t.Errorf("counted %+v", tally)
	}
}

// Calls are balanced one by one, and moving them costs none, not even one of
// a stream that is open.
func TestGRPCLosesNoCallWhenBackEndsAreReplaced(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	expectComing(f)
	id, n := "b0", 0
	address, server := newGRPCBackend(t, id)
	f.pool.Add(id, address)
	client := grpcClient(t, f)
	l := &load{stop: make(chan struct{})}
	l.run(t, 8, func(i int) error {
		_, err := say(t.Context(), client, fmt.Sprint(i))
		return err
	})
	for range 5 {
		stream, err := client.NewStream(t.Context(), &echoService.Streams[0], "/test.Echo/Chat")
		if err != nil {
			t.Fatal(err)
		}
		talk := func() {
			out := new(text)
			if err := errors.Join(stream.SendMsg(wrapperspb.String("x")), stream.RecvMsg(out)); err != nil || out.Value != id+":x" {
				t.Errorf("the stream: %q, %v", out.Value, err)
			}
		}
		talk()
		l.more(t, 50)
		n++
		next := fmt.Sprint("b", n)
		nextAddress, nextServer := newGRPCBackend(t, next)
		f.pool.Add(next, nextAddress)
		var drained sync.WaitGroup
		drained.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := f.pool.Drain(ctx, id, time.Second); err != nil {
				t.Error(err)
			}
			server.Stop() // at once, without a word
		})
		eventually(t, "the back end is leaving", func() bool { return f.pool.InFlight(id) == 1 })
		talk()
		stream.CloseSend()
		if err := stream.RecvMsg(new(text)); err != io.EOF {
			t.Errorf("the stream ended with %v", err)
		}
		drained.Wait()
		id, server = next, nextServer
	}
	l.more(t, 50)
	l.end(t)
}

// A back end that is about to end says of a call whose message it has been sent
// that it will not look at it. The call is for another back end.
func TestGRPCCallThatNobodyLooksAtGoesElsewhere(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	expectComing(f)
	leaver, refused := newLeavingBackend(t)
	f.pool.Add("leaver", leaver)
	client := grpcClient(t, f)
	answer := make(chan error, 1)
	go func() {
		said, err := say(t.Context(), client, "hello")
		if err == nil && said != "other:hello" {
			err = fmt.Errorf("the answer is %q", said)
		}
		answer <- err
	}()
	<-refused
	address, _ := newGRPCBackend(t, "other")
	f.pool.Add("other", address)
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

// So it is where the client has more to say, but not before it is answered.
func TestGRPCStreamThatNobodyLooksAtGoesElsewhere(t *testing.T) {
	t.Parallel()
	f := newFront(t, HTTP, Options{})
	expectComing(f)
	leaver, refused := newLeavingBackend(t)
	f.pool.Add("leaver", leaver)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stream, err := grpcClient(t, f).NewStream(ctx, &echoService.Streams[0], "/test.Echo/Chat")
	if err != nil {
		t.Fatal(err)
	}
	address, _ := newGRPCBackend(t, "other")
	for i := range 3 {
		if err := stream.SendMsg(wrapperspb.String(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-refused
			f.pool.Add("other", address)
		}
		out := new(text)
		if err := stream.RecvMsg(out); err != nil || out.Value != fmt.Sprint("other:", i) {
			t.Fatalf("message %d: %q, %v", i, out.Value, err)
		}
	}
}

// newLeavingBackend takes one connection, on which it looks at no request.
func newLeavingBackend(t *testing.T) (address string, refused <-chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	said, done := make(chan struct{}), make(chan struct{})
	say := sync.OnceFunc(func() { close(said) })
	go func() {
		defer close(done)
		defer say()
		conn, err := listener.Accept()
		listener.Close()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
			t.Error(err)
			return
		}
		framer := http2.NewFramer(conn, conn)
		if err := framer.WriteSettings(); err != nil {
			t.Error(err)
			return
		}
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Error(err)
				return
			}
			if data, ok := frame.(*http2.DataFrame); ok && len(data.Data()) > 0 {
				break
			}
		}
		if err := framer.WriteGoAway(0, http2.ErrCodeNo, nil); err != nil {
			t.Error(err)
		}
		say()
		io.Copy(io.Discard, conn) // until the other side has heard
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String(), said
}
