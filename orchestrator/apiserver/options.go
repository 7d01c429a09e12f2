package apiserver

import (
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	listvalidation "k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// writeOptions are what creates, updates and patches have in common.
type writeOptions struct {
	dryRun          bool
	fieldValidation string
	force           bool // of an apply
}

func (r *request) createOptions() (writeOptions, error) {
	var o metav1.CreateOptions
	if err := metav1.Convert_url_Values_To_v1_CreateOptions(&r.query, &o, nil); err != nil {
		return writeOptions{}, badQuery(err)
	}
	err := invalidOptions("CreateOptions", metavalidation.ValidateCreateOptions(&o))
	return writeOptions{dryRun: len(o.DryRun) > 0, fieldValidation: o.FieldValidation}, err
}

func (r *request) updateOptions() (writeOptions, error) {
	var o metav1.UpdateOptions
	if err := metav1.Convert_url_Values_To_v1_UpdateOptions(&r.query, &o, nil); err != nil {
		return writeOptions{}, badQuery(err)
	}
	err := invalidOptions("UpdateOptions", metavalidation.ValidateUpdateOptions(&o))
	return writeOptions{dryRun: len(o.DryRun) > 0, fieldValidation: o.FieldValidation}, err
}

func (r *request) patchOptions(patchType types.PatchType) (writeOptions, error) {
	var o metav1.PatchOptions
	if err := metav1.Convert_url_Values_To_v1_PatchOptions(&r.query, &o, nil); err != nil {
		return writeOptions{}, badQuery(err)
	}
	err := invalidOptions("PatchOptions", metavalidation.ValidatePatchOptions(&o, patchType))
	return writeOptions{len(o.DryRun) > 0, o.FieldValidation, o.Force != nil && *o.Force}, err
}

// deleteOptions come in the body or, without one, in the query.
func (r *request) deleteOptions() (*metav1.DeleteOptions, error) {
	body, err := r.readBody()
	if err != nil {
		return nil, err
	}
	o := &metav1.DeleteOptions{}
	if len(body) > 0 {
		f, err := bodyFormat(r)
		if err != nil {
			return nil, err
		}
		if _, _, err := f.options.Decode(body, nil, o); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		if kind := o.Kind; kind != "" && kind != "DeleteOptions" {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("decoded object cannot be converted to DeleteOptions: it is a %s", kind))
		}
	} else if err := metav1.Convert_url_Values_To_v1_DeleteOptions(&r.query, o, nil); err != nil {
		return nil, badQuery(err)
	}
	return o, invalidOptions("DeleteOptions", metavalidation.ValidateDeleteOptions(o))
}

func (r *request) listOptions() (*metav1.ListOptions, error) {
	o := &metav1.ListOptions{}
	if err := metav1.Convert_url_Values_To_v1_ListOptions(&r.query, o, nil); err != nil {
		return nil, badQuery(err)
	}
	checked := &internalversion.ListOptions{
		Watch:                o.Watch,
		ResourceVersion:      o.ResourceVersion,
		ResourceVersionMatch: o.ResourceVersionMatch,
		Limit:                o.Limit,
		Continue:             o.Continue,
		SendInitialEvents:    o.SendInitialEvents,
	}
	return o, invalidOptions("ListOptions", listvalidation.ValidateListOptions(checked, true))
}

func badQuery(err error) error { return apierrors.NewBadRequest(err.Error()) }

// boolParameter reads a flag: given without a value it is true.
func boolParameter(query url.Values, name string) (bool, error) {
	values, given := query[name]
	if !given {
		return false, nil
	}
	var flag bool
	if err := runtime.Convert_Slice_string_To_bool(&values, &flag, nil); err != nil {
		return false, badQuery(err)
	}
	return flag, nil
}
