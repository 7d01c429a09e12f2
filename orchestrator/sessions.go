package orchestrator

import (
	"context"
	"io"
	"net"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
)

// Logs, Exec, Attach and DialPod let the API server, which is made first, ask the
// worker.
func (p *parts) Logs(ctx context.Context, pod *corev1.Pod, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	return p.worker.Logs(ctx, pod, opts)
}

func (p *parts) Exec(ctx context.Context, pod *corev1.Pod, name string, cmd []string, s container.Session) (int, error) {
	return p.worker.Exec(ctx, pod, name, cmd, s)
}

func (p *parts) Attach(ctx context.Context, pod *corev1.Pod, name string, s container.Session) error {
	return p.worker.Attach(ctx, pod, name, s)
}

func (p *parts) DialPod(ctx context.Context, pod *corev1.Pod, port int32) (net.Conn, error) {
	return p.worker.DialPod(ctx, pod, port)
}
