package apiserver

type openAPI struct{ kinds []*kind }

func (s *Server) serveOpenAPI(r *request, parts []string) error { return errUnknownPath }
