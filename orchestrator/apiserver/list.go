package apiserver

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/store"
)

// found is what a list gives. The objects are shared: they must not be changed.
type found struct {
	objects []object
	meta    metav1.ListMeta
}

func (s *Server) list(r *request) error {
	options, err := r.listOptions()
	if err != nil {
		return err
	}
	result, err := s.find(r.kind, r.namespace, options)
	if err != nil {
		return err
	}
	return s.answerList(r, result)
}

// find reads the objects that options select, at most options.Limit of them.
func (s *Server) find(k *kind, namespace string, options *metav1.ListOptions) (found, error) {
	selected, err := newSelector(k, options)
	if err != nil {
		return found{}, err
	}
	query := store.Query{Storage: k.Storage(), Namespace: namespace, Limit: int(max(options.Limit, 0))}
	if err := s.position(&query, options); err != nil {
		return found{}, err
	}
	var result found
	for {
		page, err := s.store.List(query)
		if errors.Is(err, store.ErrExpired) {
			return found{}, expiredList(options, query)
		}
		if err != nil {
			return found{}, err
		}
		done, err := s.take(&result, selected, page, options.Limit)
		if err != nil || done {
			return result, err
		}
		query.After, query.At = page.Entries[len(page.Entries)-1].Key, page.Revision
	}
}

// take adds what is selected of a page to the result. It says whether that
// completes it: there is nothing more, or no room for more.
func (s *Server) take(result *found, selected selector, page store.Page, limit int64) (done bool, err error) {
	result.meta.ResourceVersion = formatRevision(page.Revision)
	for i, entry := range page.Entries {
		obj, err := s.decode(selected.kind, entry.Modified, entry.Value)
		if err != nil {
			return false, err
		}
		if !selected.matches(obj) {
			continue
		}
		result.objects = append(result.objects, obj)
		if limit <= 0 || int64(len(result.objects)) < limit {
			continue
		}
		remaining := int64(len(page.Entries) - i - 1 + page.Remaining)
		if remaining > 0 {
			result.meta.Continue = continueToken(page.Revision, entry.Key)
			if selected.everything() {
				result.meta.RemainingItemCount = &remaining
			}
		}
		return true, nil
	}
	return page.Remaining == 0, nil
}

// position sets where and as of when a list starts.
func (s *Server) position(query *store.Query, options *metav1.ListOptions) error {
	if options.Continue != "" {
		if options.ResourceVersion != "" && options.ResourceVersion != "0" {
			return apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
		}
		return parseContinue(options.Continue, query)
	}
	wanted, err := parseRevision(options.ResourceVersion)
	if err != nil {
		return err
	}
	if err := s.checkFresh(options.ResourceVersion); err != nil {
		return err
	}
	// Without a match, a version together with a limit has always meant that
	// very version.
	if options.ResourceVersionMatch == metav1.ResourceVersionMatchExact || (options.ResourceVersionMatch == "" && options.Limit > 0) {
		query.At = wanted
	}
	return nil
}

// continuation is what a continue token says. Revision -1 means the latest.
type continuation struct {
	Version  string `json:"v"`
	Revision int64  `json:"rv"`
	After    string `json:"start"`
}

const continuationVersion = "meta.k8s.io/v1"

func continueToken(revision uint64, after store.Key) string {
	return encodeContinuation(continuation{continuationVersion, int64(revision), after.Namespace + "/" + after.Name})
}

func encodeContinuation(c continuation) string {
	raw, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and a number can always be encoded
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func parseContinue(token string, query *store.Query) error {
	var c continuation
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	namespace, name, ok := strings.Cut(c.After, "/")
	switch {
	case err != nil:
		return apierrors.NewBadRequest(fmt.Sprintf("continue key is not valid: %v", err))
	case c.Version != continuationVersion || c.Revision == 0 || c.Revision < -1 || !ok || name == "":
		return apierrors.NewBadRequest("continue key is not valid: it was not made by this server")
	}
	query.After = store.Key{Storage: query.Storage, Namespace: namespace, Name: name}
	if c.Revision > 0 {
		query.At = uint64(c.Revision)
	}
	return nil
}

// expiredList is the answer to a list as of a time that is forgotten. A list
// in pieces gets a token with which it can go on, though not consistently.
func expiredList(options *metav1.ListOptions, query store.Query) error {
	if options.Continue == "" {
		return apierrors.NewResourceExpired("The resourceVersion for the provided list is too old.")
	}
	err := apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result. " +
		"Start a new list without it, or use the continue token in this answer to read the rest as it is now.")
	err.ErrStatus.ListMeta.Continue = encodeContinuation(continuation{continuationVersion, -1, query.After.Namespace + "/" + query.After.Name})
	return err
}

func (s *Server) answerList(r *request, result found) error {
	shaped, err := s.shapeList(r, result)
	if err != nil {
		return err
	}
	return s.encodeAnswer(r, http.StatusOK, shaped)
}
