package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"skiff/runtime/container"
)

// engineError keeps the engine's own words and adds skiff's kind of error.
type engineError struct {
	what string
	kind error // one of container's, or nil
	err  error
}

func (e *engineError) Error() string {
	// The client puts this before every answer; users of skiff did not ask a
	// "daemon" anything.
	return e.what + ": " + strings.TrimPrefix(e.err.Error(), "Error response from daemon: ")
}

func (e *engineError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.err}
	}
	return []error{e.kind, e.err}
}

// failure says what was being done and which kind of failure it was.
func failure(what string, err error) error {
	e := &engineError{what: what, err: err}
	switch {
	case err == nil:
		return nil
	case cerrdefs.IsNotFound(err):
		e.kind = container.ErrNotFound
	case cerrdefs.IsConflict(err):
		e.kind = container.ErrConflict
	case client.IsErrConnectionFailed(err):
		e.kind = container.ErrUnavailable
	}
	return e
}

// unreachable turns a connection error into advice.
func unreachable(host string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("no access to the container engine at %s: add yourself to its group (sudo usermod -aG docker $USER, then log in again) or run as root: %w", host, err)
	}
	return fmt.Errorf("no container engine answers at %s: start Docker, or set DOCKER_HOST to where it listens: %w", host, err)
}
