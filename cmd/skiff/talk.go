package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/kubectl/pkg/polymorphichelpers"
	"k8s.io/kubectl/pkg/scheme"
	"k8s.io/kubectl/pkg/util/interrupt"
	"k8s.io/kubectl/pkg/util/term"
	"k8s.io/streaming/pkg/httpstream"
)

// said is what a session passes on.
type said struct{ stdin, tty bool }

// one is the object that the command names, a Pod unless it says a type.
func (r *request) one() (runtime.Object, error) {
	b, err := r.builder(typed)
	if err != nil {
		return nil, err
	}
	if !r.byFile {
		b.ResourceNames("pods", r.args...)
	}
	infos, err := b.Latest().Flatten().Do().Infos()
	if err != nil {
		return nil, err
	}
	if len(infos) != 1 {
		return nil, fmt.Errorf("one object is expected, there are %d", len(infos))
	}
	return infos[0].Object, nil
}

func (r *request) podFor(obj runtime.Object, patience time.Duration) (*corev1.Pod, error) {
	return polymorphichelpers.AttachablePodForObjectFn(r.connection, obj, patience)
}

// subresource is the way to what a Pod offers to talk to.
func subresource(conn *connection, pod *corev1.Pod, name string, options runtime.Object) (*url.URL, *rest.Config, error) {
	client, err := conn.clientset()
	if err != nil {
		return nil, nil, err
	}
	config, err := conn.ToRESTConfig()
	if err != nil {
		return nil, nil, err
	}
	request := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource(name)
	if options != nil {
		request.VersionedParams(options, scheme.ParameterCodec)
	}
	return request.URL(), config, nil
}

// talk connects this terminal with a process of the Pod, until that has ended.
func (p *program) talk(c *call, conn *connection, pod *corev1.Pod, ask func(said) (string, runtime.Object), tty bool) error {
	s := said{stdin: c.Bool("stdin"), tty: tty}
	// A signal ends c.ctx, and with it the session; the terminal's own way with
	// one is to exit on the spot.
	signalled := interrupt.New(func(os.Signal) {})
	terminal := term.TTY{In: p.In, Out: p.Out, Parent: signalled}
	if s.tty && !terminal.IsTerminalIn() && s.stdin {
		printf(p.ErrOut, "Unable to use a TTY - input is not a terminal or the right kind of file\n")
		s.tty = false
	}
	var sizes remotecommand.TerminalSizeQueue
	if s.tty && s.stdin {
		terminal.Raw = true
		sizes = terminalSizes{terminal.MonitorSize(terminal.GetSize())}
	}
	name, options := ask(s)
	streams := remotecommand.StreamOptions{Stdout: p.Out, Tty: s.tty, TerminalSizeQueue: sizes}
	if s.stdin {
		streams.Stdin = p.In
	}
	if !s.tty {
		streams.Stderr = p.ErrOut
	}
	return terminal.Safe(func() error {
		return stream(c.ctx, conn, pod, name, options, streams)
	})
}

// terminalSizes tells the remote side how large the terminal is, whenever that
// changes.
type terminalSizes struct{ queue term.TerminalSizeQueue }

func (s terminalSizes) Next() *remotecommand.TerminalSize {
	size := s.queue.Next()
	if size == nil {
		return nil
	}
	return &remotecommand.TerminalSize{Width: size.Width, Height: size.Height}
}

// stream talks to a process of the Pod, by WebSocket where the server can.
func stream(ctx context.Context, conn *connection, pod *corev1.Pod, name string, options runtime.Object, streams remotecommand.StreamOptions) error {
	at, config, err := subresource(conn, pod, name, options)
	if err != nil {
		return err
	}
	older, err := remotecommand.NewSPDYExecutor(config, "POST", at)
	if err != nil {
		return err
	}
	newer, err := remotecommand.NewWebSocketExecutor(config, "GET", at.String())
	if err != nil {
		return err
	}
	executor, err := remotecommand.NewFallbackExecutor(newer, older, notUpgraded)
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, streams)
}

func notUpgraded(err error) bool {
	return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
}

// runIn runs a command in a container, without a terminal.
func (p *program) runIn(ctx context.Context, conn *connection, pod *corev1.Pod, container string, cmd []string, in io.Reader, out io.Writer) error {
	return stream(ctx, conn, pod, "exec", &corev1.PodExecOptions{
		Container: container, Command: cmd, Stdin: in != nil, Stdout: true, Stderr: true,
	}, remotecommand.StreamOptions{Stdin: in, Stdout: out, Stderr: p.ErrOut})
}
