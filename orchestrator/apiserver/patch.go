package apiserver

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	kjson "sigs.k8s.io/json"
)

// maxPatchOperations is upstream's bound for one JSON patch.
const maxPatchOperations = 10000

var patchTypes = []string{
	string(types.JSONPatchType), string(types.MergePatchType), string(types.StrategicMergePatchType), string(types.ApplyYAMLPatchType),
}

func init() {
	// A patch can copy a part of an object into itself again and again. The
	// library knows only this one bound for all its users.
	jsonpatch.AccumulatedCopySizeLimit = maxBody
}

// patch is a change that a client describes instead of sending its result.
type patch struct {
	patchType types.PatchType
	body      []byte
	options   writeOptions
}

func (s *Server) patch(r *request) error { return s.patchAs(r, specChange) }

func (s *Server) patchStatus(r *request) error { return s.patchAs(r, statusChange) }

func (s *Server) patchEphemeral(r *request) error { return s.patchAs(r, ephemeralChange) }

func (s *Server) patchAs(r *request, mode changeMode) error {
	p, err := r.readPatch()
	if err != nil {
		return err
	}
	if p.patchType == types.ApplyYAMLPatchType {
		return s.apply(r, mode, p)
	}
	changed, err := s.change(r, mode, p.options.dryRun, func(old object) (object, error) {
		obj := r.kind.New()
		if err := p.apply(r, r.kind.GVK, old, obj); err != nil {
			return nil, err
		}
		return obj, r.place(obj)
	})
	if err != nil {
		return err
	}
	return s.answer(r, http.StatusOK, changed)
}

func (r *request) readPatch() (*patch, error) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	p := &patch{patchType: types.PatchType(mediaType)}
	switch p.patchType {
	case types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType:
	default:
		return nil, unsupportedMediaType(patchTypes)
	}
	if err != nil {
		return nil, unsupportedMediaType(patchTypes)
	}
	if p.options, err = r.patchOptions(p.patchType); err != nil {
		return nil, err
	}
	p.body, err = r.readBody()
	return p, err
}

// apply fills into with what the patch makes of old, which is of the same type.
func (p *patch) apply(r *request, gvk schema.GroupVersionKind, old, into runtime.Object) error {
	if p.patchType == types.StrategicMergePatchType {
		return p.applyStrategic(r, gvk, old, into)
	}
	var buffer bytes.Buffer
	if err := formats[0].codec.Encode(withKind(old, gvk), &buffer); err != nil {
		return fmt.Errorf("encode object to patch: %w", err)
	}
	patched, err := p.applyJSON(r, buffer.Bytes())
	if err != nil {
		return err
	}
	return r.decodeAs(formats[0], patched, gvk, into, p.options.fieldValidation)
}

func (p *patch) applyJSON(r *request, original []byte) ([]byte, error) {
	if p.patchType == types.MergePatchType {
		if err := p.parse(r, &map[string]any{}); err != nil {
			return nil, err
		}
		patched, err := jsonpatch.MergePatch(original, p.body)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return patched, nil
	}
	operations, err := jsonpatch.DecodePatch(p.body)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if len(operations) > maxPatchOperations {
		return nil, apierrors.NewRequestEntityTooLargeError(
			fmt.Sprintf("The allowed maximum operations in a JSON patch is %d, got %d", maxPatchOperations, len(operations)))
	}
	patched, err := operations.Apply(original)
	if err != nil {
		return nil, unprocessable(err)
	}
	return patched, nil
}

func (p *patch) applyStrategic(r *request, gvk schema.GroupVersionKind, old, into runtime.Object) error {
	patchMap := map[string]any{}
	if err := p.parse(r, &patchMap); err != nil {
		return err
	}
	original, err := runtime.DefaultUnstructuredConverter.ToUnstructured(old)
	if err != nil {
		return fmt.Errorf("read object to patch: %w", err)
	}
	patched, err := strategicpatch.StrategicMergeMapPatch(original, patchMap, into)
	if errors.Is(err, mergepatch.ErrNoListOfLists) {
		return unprocessable(err)
	}
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	strict := p.options.fieldValidation != metav1.FieldValidationIgnore
	err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(patched, into, strict)
	if runtime.IsStrictDecodingError(err) {
		err = r.judgeFields(err, p.options.fieldValidation)
	}
	if err != nil {
		return undecodable(&gvk, gvk, err)
	}
	return nil
}

// parse reads the patch itself; fields that it has twice are judged as in a
// whole object.
func (p *patch) parse(r *request, into *map[string]any) error {
	strict, err := kjson.UnmarshalStrict(p.body, into)
	if err == nil && len(strict) > 0 {
		err = r.judgeFields(runtime.NewStrictDecodingError(strict), p.options.fieldValidation)
	}
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
	}
	if *into == nil {
		return apierrors.NewBadRequest("error decoding patch: it is null")
	}
	return nil
}

func unprocessable(err error) error {
	return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
}
