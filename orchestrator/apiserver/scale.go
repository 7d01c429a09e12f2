package apiserver

import (
	"fmt"
	"net/http"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
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
	return s.rescale(r, options.dryRun, r.updated(func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error) { return given, nil }))
}

// patchScale applies the patch to the Scale that the object shows.
func (s *Server) patchScale(r *request) error {
	p, err := r.readPatch()
	if err != nil {
		return err
	}
	next := r.updated(func(old *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		scale := &autoscalingv1.Scale{}
		return scale, p.apply(r, scaleGVK, old, scale)
	})
	if p.patchType == types.ApplyYAMLPatchType {
		wanted, err := p.configuration(r, scaleGVK)
		if err != nil {
			return err
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(wanted.Object, &autoscalingv1.Scale{}, true); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
		next = r.appliedScale(wanted, p.options.force)
	}
	return s.rescale(r, p.options.dryRun, next)
}

type nextScale func(old *autoscalingv1.Scale, by *managedfields.FieldManager) (*autoscalingv1.Scale, error)

// updated notes who has changed a Scale into what next makes of it.
func (r *request) updated(next func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error)) nextScale {
	return func(old *autoscalingv1.Scale, by *managedfields.FieldManager) (*autoscalingv1.Scale, error) {
		scale, err := next(old)
		if err != nil {
			return nil, err
		}
		scale.SetGroupVersionKind(scaleGVK)
		by.UpdateNoErrors(old, scale, r.manager())
		return scale, nil
	}
}

func (r *request) appliedScale(wanted *unstructured.Unstructured, force bool) nextScale {
	return func(old *autoscalingv1.Scale, by *managedfields.FieldManager) (*autoscalingv1.Scale, error) {
		merged, err := r.merge(by, wanted, old, force)
		if err != nil {
			return nil, err
		}
		scale, known := merged.(*autoscalingv1.Scale)
		if !known {
			return nil, fmt.Errorf("apply scale of %s: merged into %T", r.name, merged)
		}
		return scale, nil
	}
}

func (s *Server) rescale(r *request, dryRun bool, next nextScale) error {
	by, err := r.kind.managers.of(r.kind, r.subresource)
	if err != nil {
		return err
	}
	r.recorded = true
	changed, err := s.change(r, specChange, dryRun, func(old object) (object, error) {
		// The number of replicas is the same field in both, with the same owners.
		owners := managedfields.NewScaleHandler(old.GetManagedFields(), r.kind.GVK.GroupVersion(), managedfields.ResourcePathMappings{
			r.kind.GVK.GroupVersion().String(): replicasPath,
		})
		shown := scaleOf(r.kind, old)
		if shown.ManagedFields, err = owners.ToSubresource(); err != nil {
			return nil, fmt.Errorf("read who has set the replicas: %w", err)
		}
		scale, err := next(shown, by)
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
		entries, err := owners.ToParent(scale.ManagedFields)
		if err != nil {
			return nil, fmt.Errorf("note who has set the replicas: %w", err)
		}
		obj.SetManagedFields(entries)
		return obj, nil
	})
	if err != nil {
		return err
	}
	return s.answerScale(r, changed)
}

var replicasPath = fieldpath.MakePathOrDie("spec", "replicas")
