package apiserver

import (
	"fmt"
	"net/http"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (s *Server) getScale(r *request) error {
	found, err := s.read(r.kind, r.namespace, r.name)
	if err != nil {
		return err
	}
	return s.answerScale(r, found.object)
}

func (s *Server) answerScale(r *request, obj object) error {
	r.out.as = ""
	return s.encodeAnswer(r, http.StatusOK, scaleOf(r.kind, obj))
}

func scaleOf(k *kind, obj object) *autoscalingv1.Scale {
	scale := k.Scale(obj)
	scale.GetObjectKind().SetGroupVersionKind(scaleGVK)
	scale.Name, scale.Namespace, scale.UID = obj.GetName(), obj.GetNamespace(), obj.GetUID()
	scale.ResourceVersion, scale.CreationTimestamp = obj.GetResourceVersion(), obj.GetCreationTimestamp()
	return scale
}

func (s *Server) updateScale(r *request) error {
	options, err := r.updateOptions()
	if err != nil {
		return err
	}
	given := &autoscalingv1.Scale{}
	if err := r.decodeBody(scaleGVK, given, options.fieldValidation); err != nil {
		return err
	}
	if given.Name != "" && given.Name != r.name {
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", given.Name, r.name))
	}
	return s.rescale(r, options.dryRun, func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error) { return given, nil })
}

// patchScale applies the patch to the Scale that the object shows.
func (s *Server) patchScale(r *request) error {
	p, err := r.readPatch()
	if err != nil {
		return err
	}
	if p.patchType == types.ApplyYAMLPatchType {
		return unsupportedMediaType(patchTypes[:3])
	}
	return s.rescale(r, p.options.dryRun, func(old *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		scale := &autoscalingv1.Scale{}
		return scale, p.apply(r, scaleGVK, old, scale)
	})
}

func (s *Server) rescale(r *request, dryRun bool, next func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error)) error {
	changed, err := s.change(r, specChange, dryRun, func(old object) (object, error) {
		scale, err := next(scaleOf(r.kind, old))
		if err != nil {
			return nil, err
		}
		if scale.Spec.Replicas < 0 {
			return nil, apierrors.NewInvalid(scaleGVK.GroupKind(), r.name, field.ErrorList{
				field.Invalid(field.NewPath("spec", "replicas"), scale.Spec.Replicas, "must be greater than or equal to 0"),
			})
		}
		obj := deepCopy(old)
		r.kind.SetReplicas(obj, scale.Spec.Replicas)
		obj.SetResourceVersion(scale.ResourceVersion)
		if scale.UID != "" {
			obj.SetUID(scale.UID)
		}
		return obj, nil
	})
	if err != nil {
		return err
	}
	return s.answerScale(r, changed)
}
