package apiserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clientforward "k8s.io/client-go/tools/portforward"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// tunnelled is how today's clients speak: the streams of SPDY through a
// WebSocket, which passes more proxies.
const tunnelled = "SPDY/3.1+" + portforward.ProtocolV1Name

// podPortForward carries connections to the Pod's ports.
func (s *Server) podPortForward(r *request) error {
	found, err := s.read(r.kind, r.namespace, r.name)
	if err != nil {
		return err
	}
	pod := found.object.DeepCopyObject().(*corev1.Pod)
	if s.sessions == nil {
		return apierrors.NewServiceUnavailable("there is nobody to talk to Pods")
	}
	ctx, done := s.stream(r)
	defer done()
	req, w := r.Request.WithContext(ctx), r.w
	r.answered = true // from here on the protocol says what goes wrong
	if wsstream.IsWebSocketRequest(req) {
		conn, err := upgrader(tunnelled).Upgrade(w, req, nil)
		if err != nil {
			s.log.Debug("port not forwarded", "path", r.URL.Path, "error", err)
			return nil
		}
		if conn.Subprotocol() != tunnelled {
			_ = conn.Close()
			return nil
		}
		tunnel := clientforward.NewTunnelingConnection("server", conn)
		defer tunnel.Close()
		stop := context.AfterFunc(ctx, func() { _ = tunnel.Close() })
		defer stop()
		req, w = throughTunnel(req), &tunnelWriter{conn: tunnel, header: http.Header{}}
	}
	portforward.ServePortForward(w, req, forwarder{s.sessions, pod, ctx}, pod.Name, string(pod.UID), &portforward.V4Options{},
		sessionIdle, sessionOpening, portforward.SupportedProtocols)
	return nil
}

// throughTunnel is the request that the client would have made without one.
func throughTunnel(req *http.Request) *http.Request {
	plain := req.Clone(req.Context())
	plain.Header = http.Header{
		"Connection":                     {"Upgrade"},
		"Upgrade":                        {"SPDY/3.1"},
		httpstream.HeaderProtocolVersion: {portforward.ProtocolV1Name},
	}
	return plain
}

// tunnelWriter hands the tunnel over as the connection of an upgraded request,
// whose answer the client does not wait for.
type tunnelWriter struct {
	conn   net.Conn
	header http.Header
}

func (w *tunnelWriter) Header() http.Header         { return w.header }
func (w *tunnelWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *tunnelWriter) WriteHeader(int)             {}

func (w *tunnelWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// forwarder connects each stream to the Pod that can be reached by then.
type forwarder struct {
	sessions Sessions
	pod      *corev1.Pod
	ctx      context.Context
}

func (f forwarder) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	conn, err := f.sessions.DialPod(f.ctx, f.pod, port)
	if err != nil {
		return fmt.Errorf("connect to port %d: %w", port, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(f.ctx, func() { _ = conn.Close() })
	defer stop()
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() {
		_, _ = io.Copy(conn, stream) // ends with either side
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	})
	_, err = io.Copy(stream, conn)
	_ = stream.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil // from here
	}
	return err
}
