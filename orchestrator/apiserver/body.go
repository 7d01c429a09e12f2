package apiserver

import (
	"fmt"
	"io"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func (r *request) readBody() ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("read request body: %w", err)
	}
	return body, nil
}

// decodeBody reads the request's body as an object of the kind that into is.
func (r *request) decodeBody(gvk schema.GroupVersionKind, into runtime.Object, fieldValidation string) error {
	f, err := bodyFormat(r)
	if err != nil {
		return err
	}
	body, err := r.readBody()
	if err != nil {
		return err
	}
	return r.decodeAs(f, body, gvk, into, fieldValidation)
}

// decodeAs fills into. Unknown and duplicate fields are an error, a warning or
// nothing, as fieldValidation asks.
func (r *request) decodeAs(f *format, body []byte, gvk schema.GroupVersionKind, into runtime.Object, fieldValidation string) error {
	codec := f.codec
	if f.strict != nil && fieldValidation != metav1.FieldValidationIgnore {
		codec = f.strict
	}
	decoded, actual, err := codec.Decode(body, &gvk, into)
	if runtime.IsStrictDecodingError(err) && decoded != nil {
		err = r.judgeFields(err, fieldValidation)
	}
	if err != nil {
		return undecodable(actual, gvk, err)
	}
	if actual.GroupVersion() != gvk.GroupVersion() {
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)", actual.GroupVersion(), gvk.GroupVersion()))
	}
	if actual.Kind != gvk.Kind || reflect.TypeOf(decoded) != reflect.TypeOf(into) {
		return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s", actual.Kind, actual.GroupVersion(), gvk.Kind))
	}
	return nil
}

// judgeFields turns strict decoding errors into what was asked for.
func (r *request) judgeFields(err error, fieldValidation string) error {
	switch fieldValidation {
	case metav1.FieldValidationIgnore:
		return nil
	case metav1.FieldValidationStrict:
		return err
	}
	strict, _ := runtime.AsStrictDecodingError(err)
	for _, field := range strict.Errors() {
		r.warn(field.Error())
	}
	return nil
}

func undecodable(actual *schema.GroupVersionKind, wanted schema.GroupVersionKind, err error) error {
	if actual == nil || actual.Kind == "" {
		return apierrors.NewBadRequest(err.Error())
	}
	return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", actual.Kind, actual.GroupVersion(), wanted.Kind, err))
}
