package apiserver

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

const (
	// Smaller answers cost more time to compress than to send.
	compressFrom = 128 << 10
	// Together the warnings of an answer stay within what clients read of headers.
	maxWarningBytes = 4 << 10
	// "Miscellaneous persistent warning", the code that Kubernetes uses.
	warningCode = 299
	// Larger buffers are left to the collector instead of being kept for reuse.
	maxPooledBuffer = 1 << 20
)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func release(buffer *bytes.Buffer) {
	if buffer.Cap() <= maxPooledBuffer {
		buffers.Put(buffer)
	}
}

// answer writes an object of the request's kind in the form agreed on.
func (s *Server) answer(r *request, code int, obj object) error {
	shaped, err := s.shape(r, obj)
	if err != nil {
		return err
	}
	return s.encodeAnswer(r, code, shaped)
}

// encodeAnswer writes an object that has its kind and final form. Until it is
// encoded whole, nothing is sent: a failure can still be told.
func (s *Server) encodeAnswer(r *request, code int, obj runtime.Object) error {
	buffer := buffers.Get().(*bytes.Buffer)
	defer release(buffer)
	buffer.Reset()
	codec := r.out.format.codec
	if r.out.pretty && r.out.format.pretty != nil {
		codec = r.out.format.pretty
	}
	if err := codec.Encode(obj, buffer); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	s.send(r, code, r.out.contentType(), buffer.Bytes())
	return nil
}

// encodeDone answers what was to be done to a Pod, and has been.
func (s *Server) encodeDone(r *request) error {
	r.out.as = ""
	return s.encodeAnswer(r, http.StatusCreated, &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusSuccess,
		Code:     http.StatusCreated,
	})
}

// send writes a whole answer. A client that has left is not an error.
func (s *Server) send(r *request, code int, contentType string, body []byte) {
	header := r.w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-cache, private")
	header.Add("Vary", "Accept")
	compressed := len(body) >= compressFrom && acceptsGzip(r)
	if compressed {
		header.Set("Content-Encoding", "gzip")
		header.Add("Vary", "Accept-Encoding")
	} else {
		header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	s.begin(r, code)
	err := s.timely(r, func() error {
		if compressed {
			return writeGzip(r.w, body)
		}
		_, err := r.w.Write(body)
		return err
	})
	if err != nil {
		s.log.Debug("answer not taken", "method", r.Method, "path", r.URL.Path, "error", err)
	}
}

// begin sends the status line.
func (s *Server) begin(r *request, code int) {
	r.answered = true
	s.counted.add(r.Method, code)
	r.w.WriteHeader(code)
}

// timely gives the client only so long to take what write sends. Between
// writes there is no deadline: HTTP/2 would cut a stream at it even when
// nothing is waiting to be written.
func (s *Server) timely(r *request, write func() error) error {
	control := http.NewResponseController(r.w)
	// A writer without deadlines (a test's recorder) cannot block either.
	if control.SetWriteDeadline(time.Now().Add(s.writeTimeout)) == nil {
		defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	}
	return write()
}

func acceptsGzip(r *request) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		if name, _, _ := strings.Cut(part, ";"); strings.TrimSpace(name) == "gzip" {
			return true
		}
	}
	return false
}

func writeGzip(w http.ResponseWriter, body []byte) error {
	// Speed over size: the other end is on the same machine or near it.
	compressor, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := compressor.Write(body); err != nil {
		return err
	}
	return compressor.Close()
}

// warn adds Warning headers, which kubectl prints. It must precede the answer.
func (r *request) warn(texts ...string) {
	for _, text := range texts {
		if r.warnings[text] || r.warningBytes+len(text) > maxWarningBytes {
			continue
		}
		header, err := utilnet.NewWarningHeader(warningCode, "-", strings.Map(printable, text))
		if err != nil {
			continue // not UTF-8: no header can carry it
		}
		if r.warnings == nil {
			r.warnings = map[string]bool{}
		}
		r.warnings[text] = true
		r.warningBytes += len(text)
		r.w.Header().Add("Warning", header)
	}
}

// printable keeps a warning on one line.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return ' '
	}
	return r
}
