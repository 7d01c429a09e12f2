package apiserver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// openAPI describes the API for clients that check or explain what users
// write. Nobody may ever ask, so each document is made at its first request.
type openAPI struct {
	kinds []*kind

	mu        sync.Mutex // guards documents
	documents map[string]*document
}

type document struct {
	body []byte
	hash string
}

// serveOpenAPI answers below /openapi.
func (s *Server) serveOpenAPI(r *request, parts []string) error {
	if err := readOnly(r); err != nil {
		return err
	}
	switch {
	case len(parts) == 1 && parts[0] == "v2":
		return s.serveOpenAPIv2(r)
	case len(parts) == 1 && parts[0] == "v3":
		return s.serveOpenAPIIndex(r)
	case len(parts) > 2 && parts[0] == "v3":
		return s.serveOpenAPIGroup(r, strings.Join(parts[1:], "/"))
	}
	return errUnknownPath
}

// serveOpenAPIIndex lists the documents. Their URLs name their content, so
// that clients may keep what they have read.
func (s *Server) serveOpenAPIIndex(r *request) error {
	type entry struct {
		URL string `json:"serverRelativeURL"`
	}
	index := struct {
		Paths map[string]entry `json:"paths"`
	}{map[string]entry{}}
	for _, gv := range s.groupVersions() {
		doc, err := s.openapi.group(gv)
		if err != nil {
			return err
		}
		path := pathOf(gv)
		index.Paths[path] = entry{"/openapi/v3/" + path + "?hash=" + doc.hash}
	}
	body, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("encode index of OpenAPI documents: %w", err)
	}
	s.send(r, http.StatusOK, runtime.ContentTypeJSON, body)
	return nil
}

func (s *Server) serveOpenAPIGroup(r *request, path string) error {
	for _, gv := range s.groupVersions() {
		if pathOf(gv) != path {
			continue
		}
		doc, err := s.openapi.group(gv)
		if err != nil {
			return err
		}
		return s.sendDocument(r, doc, runtime.ContentTypeJSON)
	}
	return errUnknownPath
}

func (s *Server) sendDocument(r *request, doc *document, contentType string) error {
	etag := `"` + doc.hash + `"`
	r.w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		s.begin(r, http.StatusNotModified)
		return nil
	}
	s.send(r, http.StatusOK, contentType, doc.body)
	return nil
}

func pathOf(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "api/" + gv.Version
	}
	return "apis/" + gv.Group + "/" + gv.Version
}

func (o *openAPI) group(gv schema.GroupVersion) (*document, error) {
	return o.document(gv.String(), func() ([]byte, error) { return json.Marshal(o.describe(gv)) })
}

// document returns what build makes, which it asks for once.
func (o *openAPI) document(name string, build func() ([]byte, error)) (*document, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if doc := o.documents[name]; doc != nil {
		return doc, nil
	}
	body, err := build()
	if err != nil {
		return nil, fmt.Errorf("build OpenAPI document %s: %w", name, err)
	}
	sum := sha256.Sum256(body)
	doc := &document{body: body, hash: strings.ToUpper(hex.EncodeToString(sum[:]))}
	if o.documents == nil {
		o.documents = map[string]*document{}
	}
	o.documents[name] = doc
	return doc, nil
}
