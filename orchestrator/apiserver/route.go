package apiserver

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// request is one call on its way through the handler.
type request struct {
	*http.Request
	w        http.ResponseWriter
	query    url.Values
	answered bool     // the status line is out
	account  *account // nil: the instance's user, who may do everything
	outside  bool     // it comes from no part of the instance itself

	kind        *kind // nil outside of resources
	namespace   string
	name        string
	subresource string
	recorded    bool // what is written says by itself who has set which fields
	out         output

	warnings     map[string]bool
	warningBytes int
}

func (s *Server) serve(r *request) error {
	if r.URL.Path == customKinds {
		return s.serveCustomKinds(r)
	}
	switch parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/"); parts[0] {
	case "api":
		return s.serveGroup(r, "", parts[1:])
	case "apis":
		if len(parts) == 1 {
			return s.serveGroups(r)
		}
		return s.serveGroup(r, parts[1], parts[2:])
	case "version":
		return s.serveVersion(r)
	case "healthz", "livez", "readyz":
		return s.serveHealth(r, parts[0])
	case "metrics":
		return s.serveMetrics(r)
	case "openapi":
		return s.serveOpenAPI(r, parts[1:])
	}
	return errUnknownPath
}

// serveGroup serves what lies below /api or /apis/<group>.
func (s *Server) serveGroup(r *request, group string, parts []string) error {
	if len(parts) == 0 {
		if group == "" {
			return s.serveLegacyVersions(r)
		}
		return s.serveGroupVersions(r, group)
	}
	gv := schema.GroupVersion{Group: group, Version: parts[0]}
	if len(parts) == 1 {
		return s.serveResources(r, gv)
	}
	if !r.locate(s, gv, parts[1:]) {
		return errUnknownPath
	}
	return s.serveResource(r)
}

// locate reads kind, namespace, name and subresource from the path behind the
// version.
func (r *request) locate(s *Server, gv schema.GroupVersion, parts []string) bool {
	namespaced := len(parts) > 2 && parts[0] == "namespaces" && !slices.Contains([]string{"status", "finalize"}, parts[2])
	if namespaced {
		r.namespace, parts = parts[1], parts[2:]
	}
	if len(parts) > 3 || slices.Contains(parts, "") || (namespaced && r.namespace == "") {
		return false
	}
	r.kind = s.kinds[gv.WithResource(parts[0])]
	if r.kind == nil || (namespaced && !r.kind.Namespaced) {
		return false
	}
	if len(parts) > 1 {
		r.name = parts[1]
		if r.kind.Namespaced && !namespaced {
			return false
		}
	}
	if len(parts) > 2 {
		r.subresource = parts[2]
		return r.kind.subresources[r.subresource] != nil
	}
	return true
}

func (s *Server) serveResource(r *request) error {
	verb, err := r.verb()
	if err != nil {
		return err
	}
	if err := r.authorize(verb); err != nil {
		return err
	}
	var serve handler
	if r.subresource != "" {
		serve = r.kind.subresources[r.subresource].verbs[verb]
	} else if r.kind.allows(verb) {
		serve = handlers[verb]
	}
	if serve == nil {
		return apierrors.NewMethodNotSupported(r.kind.resource(), verb)
	}
	if r.out, err = negotiate(r, verb == "watch"); err != nil {
		return err
	}
	return serve(s, r)
}

type handler func(*Server, *request) error

// handlers serve the main resource, by verb.
var handlers = map[string]handler{
	"create":           (*Server).create,
	"delete":           (*Server).delete,
	"deletecollection": (*Server).deleteCollection,
	"get":              (*Server).get,
	"list":             (*Server).list,
	"patch":            (*Server).patch,
	"update":           (*Server).update,
	"watch":            (*Server).watch,
}

// verb names what the method asks for. Objects of a namespace are made and
// deleted in it, never across all.
func (r *request) verb() (string, error) {
	across := r.kind.Namespaced && r.namespace == ""
	switch collection := r.name == ""; r.Method {
	case http.MethodGet, http.MethodHead:
		if !collection {
			return "get", nil
		}
		watch, err := boolParameter(r.query, "watch")
		if err != nil {
			return "", err
		}
		if watch {
			return "watch", nil
		}
		return "list", nil
	case http.MethodPost:
		if (collection && !across) || r.subresource != "" {
			return "create", nil
		}
	case http.MethodPut:
		if !collection {
			return "update", nil
		}
	case http.MethodPatch:
		if !collection {
			return "patch", nil
		}
	case http.MethodDelete:
		if !collection {
			return "delete", nil
		}
		if !across {
			return "deletecollection", nil
		}
	}
	return "", apierrors.NewMethodNotSupported(r.kind.resource(), strings.ToLower(r.Method))
}

func (s *Server) get(r *request) error {
	if err := s.checkFresh(r.query.Get("resourceVersion")); err != nil {
		return err
	}
	found, err := s.read(r.kind, r.namespace, r.name)
	if err != nil {
		return err
	}
	return s.answer(r, http.StatusOK, found.object)
}
