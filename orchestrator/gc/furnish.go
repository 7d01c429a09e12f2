package gc

import (
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	defaultAccount = "default"
	rootCAName     = "kube-root-ca.crt"
	rootCAKey      = "ca.crt"
)

// systemNamespaces are there in every instance.
var systemNamespaces = []string{
	metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease,
}

// Bootstrap makes the system namespaces and what is in every namespace. Run does
// so as well; who calls Bootstrap first knows that they are there.
func (c *Controller) Bootstrap(ctx context.Context) error {
	for _, name := range systemNamespaces {
		if err := errors.Join(c.ensureNamespace(ctx, name), c.furnish(ctx, name)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Controller) ensureNamespace(ctx context.Context, name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := c.client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

// furnish restores the two objects that clients expect in every namespace.
func (c *Controller) furnish(ctx context.Context, namespace string) error {
	err := errors.Join(c.ensureAccount(ctx, namespace), c.ensureRootCA(ctx, namespace))
	if apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil // the namespace has gone meanwhile
	}
	return err
}

func (c *Controller) ensureAccount(ctx context.Context, namespace string) error {
	accounts := c.client.CoreV1().ServiceAccounts(namespace)
	if _, err := accounts.Get(ctx, defaultAccount, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: defaultAccount}}
	if _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create the default service account of %s: %w", namespace, err)
	}
	return nil
}

func (c *Controller) ensureRootCA(ctx context.Context, namespace string) error {
	configs := c.client.CoreV1().ConfigMaps(namespace)
	data := map[string]string{rootCAKey: c.rootCA}
	old, err := configs.Get(ctx, rootCAName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rootCAName}, Data: data}
		_, err = configs.Create(ctx, config, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil // its appearance brings the namespace here again
		}
	case err == nil && !(maps.Equal(old.Data, data) && len(old.BinaryData) == 0):
		changed := old.DeepCopy()
		changed.Data, changed.BinaryData = data, nil
		_, err = configs.Update(ctx, changed, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("keep the config map %s of %s: %w", rootCAName, namespace, err)
	}
	return nil
}
