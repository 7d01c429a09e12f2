package probe

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// tryGRPC asks the standard health service.
func (p *Prober) tryGRPC(ctx context.Context, address, service string, timeout time.Duration) (Result, string) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d := &recorder{dial: p.dial}
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(d.connect),
		grpc.WithUserAgent(userAgent),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return Failure, fmt.Sprintf("error: failed to connect service at %q: %v", address, err)
	}
	defer conn.Close()
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	if err != nil {
		return Failure, d.explain(address, timeout, err)
	}
	if answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return Failure, fmt.Sprintf("service unhealthy (responded with %q)", answer.Status)
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

func (r *recorder) connect(ctx context.Context, address string) (net.Conn, error) {
	conn, err := r.dial(ctx, "tcp", address)
	if err != nil {
		r.refused.Store(&err)
		return nil, err
	}
	r.connected.Store(true)
	return conn, nil
}

func (r *recorder) explain(address string, timeout time.Duration, err error) string {
	s := status.Convert(err)
	switch {
	case !r.connected.Load() && s.Code() == codes.DeadlineExceeded:
		return fmt.Sprintf("timeout: failed to connect service %q within %v: %v", address, timeout, context.DeadlineExceeded)
	case !r.connected.Load() && r.refused.Load() != nil:
		return fmt.Sprintf("error: failed to connect service at %q: %v", address, *r.refused.Load())
	case s.Code() == codes.Unimplemented:
		return "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): " + s.Message()
	case s.Code() == codes.DeadlineExceeded:
		return fmt.Sprintf("timeout: health rpc did not complete within %v", timeout)
	}
	return fmt.Sprintf("error: health rpc probe failed: %v", err)
}
