// Package apiserver serves the Kubernetes REST API from a table of
// definitions over the store. One handler serves every kind; what is special
// to a kind is in its definition.
package apiserver

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/store"
)

// maxBody bounds every request body, as upstream does.
const maxBody = 3 << 20

// defaultWriteTimeout is how long a client may leave a part of an answer
// untaken.
const defaultWriteTimeout = 30 * time.Second

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
	Sessions  Sessions     // nil: nobody can talk to Pods
	Metrics   Metrics      // nil: there are none
	Ready     func() error // nil: always ready; its error is what /readyz says
	// Ineffective is told which fields of an object, as it was just stored, have
	// no effect; nil: nobody is.
	Ineffective func(obj runtime.Object, fields []string)
	Log         *slog.Logger
	Version     string        // skiff's own
	Tokens      crypto.Signer // signs the tokens of service accounts; nil: there are none
}

// Server is the API's http.Handler.
type Server struct {
	store    *store.Store
	logs     LogSource
	sessions Sessions
	metrics  Metrics
	counted  requestCounts
	ready    func() error
	told     func(obj runtime.Object, fields []string)
	log      *slog.Logger
	version  string
	tokens   crypto.Signer

	kinds   map[schema.GroupVersionResource]*kind
	order   []*kind // of discovery
	decoded *decodedObjects
	openapi openAPI

	writeTimeout time.Duration

	// namespaces is held for reading while an object is made in one, and for
	// writing while one is marked as terminating: so nothing can be made in a
	// namespace once its emptying has begun.
	namespaces sync.RWMutex
	locks      objectLocks

	mu      sync.Mutex // guards what follows
	ended   bool
	active  int
	idle    chan struct{} // closed when ended and active is 0
	streams map[*request]context.CancelFunc
}

// New returns a Server that serves as soon as the store runs.
func New(o Options) *Server {
	s := &Server{
		store:    o.Store,
		logs:     o.Logs,
		sessions: o.Sessions,
		metrics:  o.Metrics,
		ready:    o.Ready,
		told:     o.Ineffective,
		log:      o.Log,
		version:  o.Version,
		tokens:   o.Tokens,
		kinds:    map[schema.GroupVersionResource]*kind{},
		decoded:  newDecodedObjects(),
		idle:     make(chan struct{}),
		streams:  map[*request]context.CancelFunc{},

		writeTimeout: defaultWriteTimeout,
	}
	for _, definition := range o.Resources {
		k := newKind(definition)
		s.kinds[definition.GVR()] = k
		s.order = append(s.order, k)
	}
	s.openapi.kinds = s.order
	return s
}

// Run serves until ctx ends; then it ends all watches and log streams and
// returns when no request is left.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.ended = true
	for _, cancel := range s.streams {
		cancel()
	}
	if s.active == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	<-s.idle
	return nil
}

func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.active++
	return true
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	if s.ended && s.active == 0 {
		close(s.idle)
	}
}

type untilKey struct{}

// StreamsUntil is the base context of an http.Server whose requests without a
// natural end, watches say, end with until. All others go on.
func StreamsUntil(base, until context.Context) context.Context {
	return context.WithValue(base, untilKey{}, until)
}

// stream gives a request without a natural end a context that ends with the
// server. The caller calls the function when the request is done.
func (s *Server) stream(r *request) (context.Context, func()) {
	ctx, cancel := context.WithCancel(r.Context())
	unbound := func() bool { return true }
	if until, ok := ctx.Value(untilKey{}).(context.Context); ok {
		unbound = context.AfterFunc(until, cancel)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		cancel()
	}
	s.streams[r] = cancel
	return ctx, func() {
		unbound()
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.streams, r)
	}
}

// ServeHTTP serves whoever calls it as the instance's user.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.serveOne(&request{Request: req, w: w, query: req.URL.Query()})
}

func (s *Server) serveOne(r *request) {
	if !s.enter() {
		s.fail(r, errEnding)
		return
	}
	defer s.leave()
	defer s.recovered(r)
	r.Body = http.MaxBytesReader(r.w, r.Body, maxBody)
	if err := s.serve(r); err != nil {
		s.fail(r, err)
	}
}

// recovered answers a request whose handler panicked; the daemon lives on.
func (s *Server) recovered(r *request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.log.Error("request panicked", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	if r.answered {
		panic(http.ErrAbortHandler) // cuts the connection: half an answer must not pass for a whole one
	}
	s.fail(r, fmt.Errorf("this request caused a panic: %v", p))
}
