package proxy

// source reads from a connection and takes a buffer only once there is
// something to read.
type source struct {
	*wire
	chunk *[]byte
}

func (s *source) lend() []byte {
	s.chunk = getBuffer()
	return *s.chunk
}

func (s *source) giveBack() {
	putBuffer(s.chunk)
	s.chunk = nil
}

// next returns what came, which the caller gives back with putBuffer. Bytes
// that come with an error go first; the error comes again.
func (s *source) next() (*[]byte, error) {
	for {
		n, err := s.readLent(s)
		switch {
		case n > 0:
			chunk := s.chunk
			s.chunk = nil // it is the caller's now
			*chunk = (*chunk)[:n]
			return chunk, nil
		case s.chunk != nil:
			s.giveBack()
		}
		if err != nil {
			return nil, err
		}
	}
}
