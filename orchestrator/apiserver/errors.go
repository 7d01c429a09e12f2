package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"skiff/orchestrator/store"
)

var (
	errEnding      = apierrors.NewServiceUnavailable("the server is shutting down")
	errUnknownPath = &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusNotFound,
		Reason:  metav1.StatusReasonNotFound,
		Message: "the server could not find the requested resource",
		Details: &metav1.StatusDetails{},
	}}
	errModified = errors.New("the object has been modified; please apply your changes to the latest version and try again")
)

// fail answers with the Status that err stands for.
func (s *Server) fail(r *request, err error) {
	status := s.statusOf(r, err)
	if r.answered {
		return // a stream: its end is all that can still be said
	}
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		r.w.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	// The client's own wish may be what is wrong, so it binds only if it can be met.
	out, negotiationErr := negotiate(r, false)
	if negotiationErr != nil {
		out = output{format: formats[0]}
	}
	out.as, out.stream = "", false
	r.out = out
	if err := s.encodeAnswer(r, int(status.Code), status); err != nil {
		s.log.Error("answer with an error", "method", r.Method, "path", r.URL.Path, "error", err)
	}
}

// statusOf finds the Status in err, or makes one of it. What the server is to
// blame for is logged.
func (s *Server) statusOf(r *request, err error) *metav1.Status {
	var known apierrors.APIStatus
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
	case errors.As(err, &tooLarge):
		known = apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", tooLarge.Limit))
	case errors.Is(err, store.ErrClosed):
		known = errEnding
	case errors.Is(err, store.ErrFull):
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		known = full(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		known = apierrors.NewTimeoutError("request did not complete within the requested timeout", 0)
	default:
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		known = apierrors.NewInternalError(err)
	}
	status := known.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	return &status
}

// full is the answer where there is no room for what was to be stored. Kubernetes
// has no reason for this code; its clients take a failure of the server that has
// none for an internal error.
func full(err error) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusInsufficientStorage,
		Reason:  metav1.StatusReasonInternalError,
		Message: fmt.Sprintf("%v: nothing was changed; make room there and try again", err),
	}}
}

// storeError says in the API's terms why an object could not be read or written.
func storeError(k *kind, name string, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return apierrors.NewNotFound(k.resource(), name)
	case errors.Is(err, store.ErrExists):
		return apierrors.NewAlreadyExists(k.resource(), name)
	case errors.Is(err, store.ErrConflict):
		return apierrors.NewConflict(k.resource(), name, errModified)
	}
	return err
}

// invalid makes one error of all that is wrong; nil if nothing is. What two
// checks found alike is said once.
func invalid(k *kind, name string, errs field.ErrorList) error {
	var unique field.ErrorList
	seen := map[string]bool{}
	for _, err := range errs {
		if key := string(err.Type) + err.Error(); !seen[key] {
			seen[key] = true
			unique = append(unique, err)
		}
	}
	if len(unique) == 0 {
		return nil
	}
	return apierrors.NewInvalid(k.GVK.GroupKind(), name, unique)
}

// invalidOptions is upstream's answer to query parameters that make no sense.
func invalidOptions(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(metav1.SchemeGroupVersion.WithKind(kind).GroupKind(), "", errs)
}
