package apiserver

import (
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/orchestrator/store"
)

// current is an object as it stands in the store.
type current struct {
	object   object // shared: must not be changed
	raw      []byte
	modified uint64
}

func (k *kind) key(namespace, name string) store.Key {
	return store.Key{Storage: k.Storage(), Namespace: namespace, Name: name}
}

func (s *Server) read(k *kind, namespace, name string) (current, error) {
	entry, err := s.store.Get(k.key(namespace, name))
	if err != nil {
		return current{}, storeError(k, name, err)
	}
	obj, err := s.decode(k, entry.Modified, entry.Value)
	if err != nil {
		return current{}, err
	}
	return current{object: obj, raw: entry.Value, modified: entry.Modified}, nil
}

// lookup finds a stored object for a definition's rules.
func (s *Server) lookup(of schema.GroupVersionResource, namespace, name string) (runtime.Object, error) {
	found, err := s.read(s.kinds[of], namespace, name)
	if err != nil {
		return nil, err
	}
	return found.object, nil
}

// decode reads stored bytes as an object of k, shared with other readers.
func (s *Server) decode(k *kind, revision uint64, raw []byte) (object, error) {
	obj, err := s.decoded.get(revision, raw)
	if err != nil {
		return nil, err
	}
	return k.fromStored(obj)
}

func formatRevision(revision uint64) string { return strconv.FormatUint(revision, 10) }

// parseRevision reads a resource version; 0 stands for "any".
func parseRevision(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	revision, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("invalid resource version %q: not a number", text))
	}
	return revision, nil
}

// checkFresh refuses to answer with a state older than the resource version
// that the client has seen: it must come from another, later, instance.
func (s *Server) checkFresh(resourceVersion string) error {
	wanted, err := parseRevision(resourceVersion)
	if err != nil {
		return err
	}
	if wanted <= s.store.Revision() {
		return nil
	}
	// What is on disk may be a moment ahead of what watches have been told.
	latest, err := s.store.List(store.Query{})
	if err != nil {
		return err
	}
	if wanted > latest.Revision {
		return tooLargeRevision(wanted, latest.Revision)
	}
	return nil
}

func tooLargeRevision(wanted, now uint64) error {
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", wanted, now), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{
		Type:    metav1.CauseTypeResourceVersionTooLarge,
		Message: "Too large resource version",
	}}
	return err
}
