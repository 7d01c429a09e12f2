package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
)

// tryGRPC asks the standard health service. The call is made over net/http:
// grpc's own client would be 2 MB of program for this one.
func (p *Prober) tryGRPC(ctx context.Context, address, service string, timeout time.Duration) (Result, string) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d := &recorder{dial: p.dial}
	transport := &http.Transport{
		DialContext:        d.connect,
		Protocols:          new(http.Protocols),
		DisableCompression: true,
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	status, err := checkHealth(ctx, transport, address, service, timeout)
	if err != nil {
		return Failure, d.explain(address, timeout, err)
	}
	if status != serving {
		return Failure, fmt.Sprintf("service unhealthy (responded with %q)", status)
	}
	return Success, "service healthy"
}

// recorder remembers how the connection went: the error of the call alone does
// not tell a server that is absent from one that answers badly.
type recorder struct {
	dial      Dial
	connected atomic.Bool
	refused   atomic.Pointer[error]
}

func (r *recorder) connect(ctx context.Context, _, address string) (net.Conn, error) {
	conn, err := r.dial(ctx, "tcp", address)
	if err != nil {
		r.refused.Store(&err)
		return nil, err
	}
	r.connected.Store(true)
	return conn, nil
}

func (r *recorder) explain(address string, timeout time.Duration, err error) string {
	failed := asRPCError(err)
	switch {
	case !r.connected.Load() && failed.code == codes.DeadlineExceeded:
		return fmt.Sprintf("timeout: failed to connect service %q within %v: %v", address, timeout, context.DeadlineExceeded)
	case !r.connected.Load() && r.refused.Load() != nil:
		return fmt.Sprintf("error: failed to connect service at %q: %v", address, *r.refused.Load())
	case failed.code == codes.Unimplemented:
		return "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): " + failed.message
	case failed.code == codes.DeadlineExceeded:
		return fmt.Sprintf("timeout: health rpc did not complete within %v", timeout)
	}
	return fmt.Sprintf("error: health rpc probe failed: %v", failed)
}

// rpcError is a call's failure, told by the server or seen from here.
type rpcError struct {
	code    codes.Code
	message string
}

func (e *rpcError) Error() string {
	return fmt.Sprintf("rpc error: code = %s desc = %s", e.code, e.message)
}

func asRPCError(err error) *rpcError {
	var told *rpcError
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, context.DeadlineExceeded):
		return &rpcError{codes.DeadlineExceeded, err.Error()}
	case errors.Is(err, context.Canceled):
		return &rpcError{codes.Canceled, err.Error()}
	}
	return &rpcError{codes.Unavailable, err.Error()}
}
