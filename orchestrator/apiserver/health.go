package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	goruntime "runtime"

	"k8s.io/apimachinery/pkg/runtime"
)

const (
	goCompiler = goruntime.Compiler
	goPlatform = goruntime.GOOS + "/" + goruntime.GOARCH
)

var goVersion = goruntime.Version()

// serveHealth answers /healthz, /livez and /readyz. Only the last one depends
// on more than the handler being there.
func (s *Server) serveHealth(r *request, which string) error {
	if err := readOnly(r); err != nil {
		return err
	}
	if which == "readyz" && s.ready != nil {
		if err := s.ready(); err != nil {
			s.send(r, http.StatusInternalServerError, "text/plain; charset=utf-8", []byte(err.Error()+"\n"))
			return nil
		}
	}
	s.send(r, http.StatusOK, "text/plain; charset=utf-8", []byte("ok"))
	return nil
}

func (s *Server) serveVersion(r *request) error {
	if err := readOnly(r); err != nil {
		return err
	}
	body, err := json.MarshalIndent(s.versionInfo(), "", "  ")
	if err != nil {
		return fmt.Errorf("encode version: %w", err)
	}
	s.send(r, http.StatusOK, runtime.ContentTypeJSON, body)
	return nil
}
