package node

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// objects reads ConfigMaps and Secrets of a namespace. The API is asked itself
// and not a cache, so that a Pod made right after its ConfigMap finds it.
type objects struct {
	client    typedcorev1.CoreV1Interface
	namespace string
}

func (o objects) configMap(ctx context.Context, name string) (map[string]string, error) {
	object, err := o.client.ConfigMaps(o.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, missing(err, "configmap", name)
	}
	return object.Data, nil
}

func (o objects) secret(ctx context.Context, name string) (map[string]string, error) {
	object, err := o.client.Secrets(o.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, missing(err, "secret", name)
	}
	data := make(map[string]string, len(object.Data))
	for key, value := range object.Data {
		data[key] = string(value)
	}
	return data, nil
}

// missing says in the kubelet's words that an object is not there; it is still
// known as that kind of error.
func missing(err error, kind, name string) error {
	if apierrors.IsNotFound(err) {
		return &missingObject{error: err, text: fmt.Sprintf("%s %q not found", kind, name)}
	}
	return fmt.Errorf("read %s %s: %w", kind, name, err)
}

type missingObject struct {
	error
	text string
}

func (m *missingObject) Error() string { return m.text }
func (m *missingObject) Unwrap() error { return m.error }
