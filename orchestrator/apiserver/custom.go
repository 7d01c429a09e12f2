package apiserver

import (
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
)

// customKinds is where kubectl asks whether a kind that it meets and does not
// know is a custom one. An answer makes it report that kind to its user; without
// one it reports this path. The group is no part of discovery: nothing else of
// it is served.
const customKinds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

const noCustomKinds = `{"kind":"CustomResourceDefinitionList","apiVersion":"apiextensions.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[]}`

func (s *Server) serveCustomKinds(r *request) error {
	if err := readOnly(r); err != nil {
		return err
	}
	if r.query.Has("watch") {
		return errUnknownPath
	}
	s.send(r, http.StatusOK, runtime.ContentTypeJSON, []byte(noCustomKinds))
	return nil
}
