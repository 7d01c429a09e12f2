package docker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"skiff/runtime/container"
)

// slowEngine makes containers only after whoever asked for one has gone.
type slowEngine struct {
	leave   context.CancelFunc // of who asks
	there   atomic.Int64       // containers
	unheard atomic.Int64       // calls whose answer nobody waited for
}

func (s *slowEngine) RoundTrip(req *http.Request) (*http.Response, error) {
	status, answer := http.StatusNoContent, ""
	switch {
	case req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/containers/create"):
		s.leave()
		s.there.Add(1)
		status, answer = http.StatusCreated, `{"Id": "made"}`
	case req.Method == http.MethodDelete:
		s.there.Add(-1)
	}
	if err := req.Context().Err(); err != nil {
		s.unheard.Add(1)
		return nil, err
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(answer)), Request: req,
	}, nil
}

// Whoever gives up while the engine makes a container hears of that container
// all the same, for the engine makes it.
func TestCreationOutlastsWhoAsked(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	engine := &slowEngine{leave: cancel}
	api, err := client.NewClientWithOpts(client.WithHost("tcp://engine:1"), client.WithHTTPClient(&http.Client{Transport: engine}), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{api: api, instance: "test", log: slog.New(slog.DiscardHandler), gate: newGate(1)}
	id, err := e.make(ctx, &dockercontainer.Config{}, nil, nil, "name")
	if err != nil || id != "made" {
		t.Errorf("made %q, %v", id, err)
	}
	if _, err := e.make(ctx, &dockercontainer.Config{}, nil, nil, "name"); !errors.Is(err, context.Canceled) {
		t.Errorf("for somebody who has gone before: %v", err)
	}

	ctx, engine.leave = context.WithCancel(t.Context())
	defer engine.leave()
	err = e.viewImage(ctx, container.Pod{}, "image", func(string) error { return ctx.Err() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("view: %v", err)
	}
	if there, unheard := engine.there.Load(), engine.unheard.Load(); there != 1 || unheard != 0 {
		t.Errorf("%d containers of which one is known, %d answers that nobody waited for", there, unheard)
	}
}
