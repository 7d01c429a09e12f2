package apiserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Metrics writes what there is to be told to Prometheus, in its text format.
type Metrics interface {
	WriteMetrics(ctx context.Context, w io.Writer) error
}

// serveMetrics answers /metrics.
func (s *Server) serveMetrics(r *request) error {
	if err := readOnly(r); err != nil {
		return err
	}
	if a := r.account; a != nil && !a.maySee(r.URL.Path) {
		//lint:ignore ST1005 the words are Kubernetes'
		return apierrors.NewForbidden(schema.GroupResource{}, "", fmt.Errorf("User %q cannot get path %q", accountName(a.namespace, a.name), r.URL.Path))
	}
	if s.metrics == nil {
		return errUnknownPath
	}
	var body bytes.Buffer
	if err := s.metrics.WriteMetrics(r.Context(), &body); err != nil {
		return err
	}
	s.send(r, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", body.Bytes())
	return nil
}

// requestCounts counts what was answered, by method and class of the status.
type requestCounts [len(methods)][6]atomic.Uint64

// methods are those that are told apart. All others are the last.
var methods = [...]string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead, "other",
}

func (c *requestCounts) add(method string, code int) {
	of := 0
	for of < len(methods)-1 && methods[of] != method {
		of++
	}
	c[of][min(max(0, code/100), 5)].Add(1)
}

// EachRequests tells how many requests were answered by method and class of the
// status, like 2xx; what never happened is left out.
func (s *Server) EachRequests(tell func(method, code string, n uint64)) {
	for m := range s.counted {
		for class := range s.counted[m] {
			if n := s.counted[m][class].Load(); n > 0 {
				tell(strings.ToLower(methods[m]), fmt.Sprint(class, "xx"), n)
			}
		}
	}
}
