package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream/wsstream"
	utilexec "k8s.io/utils/exec"

	"skiff/orchestrator/resource"
	"skiff/runtime/container"
)

// Sessions let a client talk to the processes of a Pod and to its ports. Each
// call lasts until the conversation ends, or ctx does.
type Sessions interface {
	Exec(ctx context.Context, pod *corev1.Pod, container string, cmd []string, s container.Session) (exitCode int, err error)
	Attach(ctx context.Context, pod *corev1.Pod, container string, s container.Session) error
	DialPod(ctx context.Context, pod *corev1.Pod, port int32) (net.Conn, error)
}

// How long the ends of a SPDY session may take to be opened, and how long
// nothing may be said in one.
const (
	sessionOpening = remotecommand.DefaultStreamCreationTimeout
	sessionIdle    = 4 * time.Hour
)

// converse is what the process side of a session does.
type converse func(ctx context.Context, s container.Session) (exitCode int, err error)

func (s *Server) podExec(r *request) error {
	cmd := r.query["command"]
	if len(cmd) == 0 {
		return apierrors.NewBadRequest("you must specify at least one command for the container")
	}
	return s.session(r, func(pod *corev1.Pod, name string) converse {
		return func(ctx context.Context, session container.Session) (int, error) {
			return s.sessions.Exec(ctx, pod, name, cmd, session)
		}
	})
}

func (s *Server) podAttach(r *request) error {
	return s.session(r, func(pod *corev1.Pod, name string) converse {
		return func(ctx context.Context, session container.Session) (int, error) {
			return 0, s.sessions.Attach(ctx, pod, name, session)
		}
	})
}

// session opens the client's side, by WebSocket or SPDY, and lets both talk.
func (s *Server) session(r *request, with func(pod *corev1.Pod, name string) converse) error {
	ends, err := parseEnds(r.query)
	if err != nil {
		return err
	}
	found, err := s.read(r.kind, r.namespace, r.name)
	if err != nil {
		return err
	}
	pod := found.object.DeepCopyObject().(*corev1.Pod)
	name, err := chooseContainer(pod, r.query.Get("container"))
	if err != nil {
		return err
	}
	if s.sessions == nil {
		return apierrors.NewServiceUnavailable("there is nobody to talk to Pods")
	}
	if resource.IsFinished(pod) {
		return apierrors.NewBadRequest(fmt.Sprintf("cannot exec into a container in a completed pod; current phase is %s", pod.Status.Phase))
	}
	ctx, done := s.stream(r)
	defer done()
	talk := with(pod, name)
	r.answered = true // from here on the protocol says what goes wrong
	if wsstream.IsWebSocketRequest(r.Request) {
		s.webSocketSession(ctx, r, ends, talk)
		return nil
	}
	remotecommand.ServeExec(r.w, r.Request.WithContext(ctx), spdyTalk{talk}, pod.Name, string(pod.UID), name, nil, ends,
		sessionIdle, sessionOpening, remotecommand.SupportedStreamingProtocols)
	return nil
}

// parseEnds reads which ends of the process the client wants.
func parseEnds(query url.Values) (*remotecommand.Options, error) {
	o := &remotecommand.Options{}
	for name, target := range map[string]*bool{"stdin": &o.Stdin, "stdout": &o.Stdout, "stderr": &o.Stderr, "tty": &o.TTY} {
		flag, err := boolParameter(query, name)
		if err != nil {
			return nil, err
		}
		*target = flag
	}
	switch {
	case o.TTY && o.Stderr: // a terminal has one output
		o.Stderr = false
	case !o.Stdin && !o.Stdout && !o.Stderr:
		return nil, apierrors.NewBadRequest("you must specify at least 1 of stdin, stdout, stderr")
	}
	return o, nil
}

// spdyTalk is a conversation in the words of the library that speaks SPDY.
type spdyTalk struct{ talk converse }

func (t spdyTalk) ExecInContainer(ctx context.Context, _, _, _ string, _ []string, in io.Reader, out, err io.WriteCloser,
	tty bool, sizes <-chan remotecommand.TerminalSize, _ time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := container.Session{In: in, TTY: tty, Resize: translateSizes(ctx, sizes)}
	if out != nil {
		s.Out = out
	}
	if err != nil {
		s.Err = err
	}
	code, failure := t.talk(ctx, s)
	if failure == nil && code != 0 {
		return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return failure
}

func translateSizes(ctx context.Context, from <-chan remotecommand.TerminalSize) <-chan container.Size {
	to := make(chan container.Size)
	go func() {
		defer close(to)
		for {
			select {
			case size, ok := <-from:
				if !ok {
					return
				}
				select {
				case to <- container.Size{Width: size.Width, Height: size.Height}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return to
}

// endStatus is how a session's end is told.
func endStatus(code int, err error) *metav1.Status {
	var known apierrors.APIStatus
	switch {
	case err == nil && code == 0:
		return &metav1.Status{Status: metav1.StatusSuccess}
	case err == nil:
		return &metav1.Status{
			Status:  metav1.StatusFailure,
			Reason:  remotecommand.NonZeroExitCodeReason,
			Message: fmt.Sprintf("command terminated with non-zero exit code: command terminated with exit code %d", code),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: remotecommand.ExitCodeCauseType, Message: strconv.Itoa(code)}}},
		}
	case errors.As(err, &known):
		status := known.Status()
		return &status
	}
	status := apierrors.NewInternalError(err).Status()
	status.Code = http.StatusInternalServerError
	return &status
}
