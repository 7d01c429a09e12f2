package manifest

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Explain puts file, line and field path to a server's answer about the
// document. An error that is not a server's is returned as it is.
func (d *Document) Explain(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err
	}
	s := status.Status()
	if s.Reason == metav1.StatusReasonAlreadyExists {
		return Errors{d.cite("metadata.name", fmt.Sprintf("Error from server (%s): %s", s.Reason, s.Message))}
	}
	var errs Errors
	seen := map[string]bool{}
	if s.Details != nil && s.Reason == metav1.StatusReasonInvalid {
		for _, cause := range s.Details.Causes {
			path := cause.Field
			if path == "<nil>" {
				path = ""
			}
			if one := d.cite(path, cause.Message); !seen[one.Error()] {
				seen[one.Error()] = true
				errs = append(errs, one)
			}
		}
	}
	if len(errs) > 0 {
		return errs
	}
	reason := ""
	if s.Reason != "" {
		reason = fmt.Sprintf(" (%s)", s.Reason)
	}
	return Errors{d.cite("", fmt.Sprintf("Error from server%s: %s", reason, s.Message))}
}

func (d *Document) cite(path, message string) *Error {
	at := d.root.locate(path)
	return &Error{File: d.File, Line: at.Line, Column: at.Column, Path: path, Message: message}
}

// Cite appends where it is in the file to a server's warning that begins with a
// field path, as those about specs do.
func (d *Document) Cite(warning string) string {
	if path, _ := d.SplitPath(warning); path != "" {
		return fmt.Sprintf("%s (%s:%d)", warning, d.File, d.Line(path))
	}
	return warning
}

// SplitPath takes the field path off the beginning of a server's warning; it is
// empty where the document has no such field.
func (d *Document) SplitPath(warning string) (path, rest string) {
	path, rest, _ = strings.Cut(warning, " ")
	path = strings.TrimSuffix(path, ":")
	if d.root.locate(path) == d.root.at {
		return "", warning
	}
	return path, rest
}
