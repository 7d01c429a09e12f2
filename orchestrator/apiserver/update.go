package apiserver

import "net/http"

func (s *Server) update(r *request) error { return s.updateAs(r, specChange) }

func (s *Server) updateStatus(r *request) error { return s.updateAs(r, statusChange) }

func (s *Server) updateEphemeral(r *request) error { return s.updateAs(r, ephemeralChange) }

func (s *Server) updateAs(r *request, mode changeMode) error {
	options, err := r.updateOptions()
	if err != nil {
		return err
	}
	given := r.kind.New()
	if err := r.decodeBody(r.kind.GVK, given, options.fieldValidation); err != nil {
		return err
	}
	if err := r.place(given); err != nil {
		return err
	}
	changed, err := s.change(r, mode, options.dryRun, func(object) (object, error) { return given, nil })
	if err != nil {
		return err
	}
	return s.answer(r, http.StatusOK, changed)
}
