// Package apiserver serves the Kubernetes REST API from a table of
// definitions over the store. One handler serves every kind; what is special
// to a kind is in its definition.
package apiserver

import (
	"context"
	"io"
	"log/slog"
	"net/http"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/store"
)

// LogSource reads what a container of a Pod has written. The options name one
// container and are valid. An error that is an API status reaches the client
// as it is. The stream ends when ctx does.
type LogSource interface {
	Logs(ctx context.Context, pod *corev1.Pod, opts *corev1.PodLogOptions) (io.ReadCloser, error)
}

// Options are the parts a Server works with.
type Options struct {
	Store     *store.Store
	Resources []*resource.Definition
	Logs      LogSource    // nil: there are no logs
	Ready     func() error // nil: always ready; its error is what /readyz says
	Log       *slog.Logger
	Version   string // skiff's own
}

// Server is the API's http.Handler.
type Server struct {
	store *store.Store
	log   *slog.Logger
}

// New returns a Server that serves as soon as the store runs.
func New(o Options) *Server {
	return &Server{store: o.Store, log: o.Log}
}

// Run serves until ctx ends; then it ends all watches and log streams and
// returns when no request is left.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	http.NotFound(w, r)
}
