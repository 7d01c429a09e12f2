package docker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"skiff/runtime/container"
)

// A process that goes on reading goes on talking, too, when one of those who are
// attached has no more to say.
func TestAttachOutlastsItsInput(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	s := spec(t, e, "hear")
	s.Stdin = true
	id := start(t, e, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := attach(ctx, e, id, "first\n")
	if line := first.line(); line != "first\n" {
		t.Fatalf("the first heard %q", line)
	}
	second := attach(ctx, e, id, "second\n")
	for who, one := range map[string]*listener{"first": first, "second": second} {
		if line := one.line(); line != "second\n" {
			t.Errorf("the %s heard %q", who, line)
		}
	}
	cancel()
	for who, one := range map[string]*listener{"first": first, "second": second} {
		if err := <-one.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the session of the %s ended with %v", who, err)
		}
	}
}

func TestAttachEndsAnInputThatIsReadOnce(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	s := spec(t, e, "hear")
	s.Stdin, s.StdinOnce = true, true
	id := start(t, e, s)
	var out bytes.Buffer
	if err := e.AttachSession(t.Context(), id, container.Session{In: strings.NewReader("all\n"), Out: &out}); err != nil || out.String() != "all\n" {
		t.Errorf("AttachSession = %v, with %q", err, out.String())
	}
	if s := exited(t, e, id); s.ExitCode != 0 {
		t.Errorf("the container: %+v", s)
	}
}

// Whoever attaches to a container that has ended, or is about to, does not wait for
// it for ever, and hears all that it says if it hears anything.
func TestAttachToWhatEnds(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	for range 10 {
		s := spec(t, e, "echo", "all")
		s.Stdin = true
		id := start(t, e, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		said, _ := io.Pipe() // nothing, but without an end
		for _, ended := range []bool{false, true} {
			if ended {
				exited(t, e, id)
			}
			var out bytes.Buffer
			err := e.AttachSession(ctx, id, container.Session{In: said, Out: &out})
			if out.Len() > 0 && out.String() != "all\n" || err != nil && !errors.Is(err, container.ErrConflict) || ended && err == nil {
				t.Errorf("AttachSession = %v, with %q", err, out.String())
			}
		}
	}
}

// listener is somebody who has said all there was to say, and listens.
type listener struct {
	out   *bufio.Reader
	ended chan error
}

func attach(ctx context.Context, e *Engine, id, said string) *listener {
	out, in := io.Pipe()
	a := &listener{bufio.NewReader(out), make(chan error, 1)}
	go func() {
		err := e.AttachSession(ctx, id, container.Session{In: strings.NewReader(said), Out: in})
		_ = in.CloseWithError(err)
		a.ended <- err
	}()
	return a
}

func (a *listener) line() string {
	line, err := a.out.ReadString('\n')
	if err != nil {
		return line + err.Error()
	}
	return line
}
