package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var namespaceGVR = corev1.SchemeGroupVersion.WithResource("namespaces")

// keptNamespaces cannot be deleted: clients rely on them.
var keptNamespaces = []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic}

// checkNamespace refuses to make an object of k where there is no namespace or
// one that is being emptied. The caller holds s.namespaces for reading.
func (s *Server) checkNamespace(k *kind, namespace, name string) error {
	namespaces := s.kinds[namespaceGVR]
	if namespaces == nil {
		return nil
	}
	found, err := s.read(namespaces, "", namespace)
	if err != nil {
		return err
	}
	if found.object.GetDeletionTimestamp() == nil {
		return nil
	}
	refused := apierrors.NewForbidden(k.resource(), name,
		fmt.Errorf("unable to create new content in namespace %s because it is being terminated", namespace))
	refused.ErrStatus.Details.Causes = append(refused.ErrStatus.Details.Causes, metav1.StatusCause{
		Type:    corev1.NamespaceTerminatingCause,
		Message: fmt.Sprintf("namespace %s is being terminated", namespace),
		Field:   "metadata.namespace",
	})
	return refused
}

// keepNamespaceFinalizer gives a new namespace the finalizer that holds it
// until it has been emptied.
func keepNamespaceFinalizer(obj object) {
	if namespace, ok := obj.(*corev1.Namespace); ok && !slices.Contains(namespace.Spec.Finalizers, corev1.FinalizerKubernetes) {
		namespace.Spec.Finalizers = append(namespace.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

func checkNamespaceDeletion(obj object) error {
	if _, ok := obj.(*corev1.Namespace); ok && slices.Contains(keptNamespaces, obj.GetName()) {
		return apierrors.NewForbidden(namespaceGVR.GroupResource(), obj.GetName(), errors.New("this namespace may not be deleted"))
	}
	return nil
}

// finalize replaces a namespace's own finalizers, and nothing else of it. The
// last one's removal ends a namespace that is being deleted.
func (s *Server) finalize(r *request) error {
	options, err := r.updateOptions()
	if err != nil {
		return err
	}
	given := &corev1.Namespace{}
	if err := r.decodeBody(r.kind.GVK, given, options.fieldValidation); err != nil {
		return err
	}
	if err := r.place(given); err != nil {
		return err
	}
	changed, err := s.change(r, ownChange, options.dryRun, func(old object) (object, error) {
		namespace := old.DeepCopyObject().(*corev1.Namespace)
		namespace.Spec.Finalizers = given.Spec.Finalizers
		namespace.ResourceVersion = given.ResourceVersion
		if given.UID != "" {
			namespace.UID = given.UID
		}
		return namespace, nil
	})
	if err != nil {
		return err
	}
	return s.answer(r, http.StatusOK, changed)
}

func specFinalizers(obj object) int {
	if namespace, ok := obj.(*corev1.Namespace); ok {
		return len(namespace.Spec.Finalizers)
	}
	return 0
}

func markTerminating(obj object) {
	if namespace, ok := obj.(*corev1.Namespace); ok {
		namespace.Status.Phase = corev1.NamespaceTerminating
	}
}

func isNamespace(k *kind) bool {
	return k.GVK == schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
}
