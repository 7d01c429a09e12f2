package gc

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func (c *cluster) namespace(t *testing.T, name string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) furnished(ctx context.Context, namespace string) bool {
	cm, err := c.CoreV1().ConfigMaps(namespace).Get(ctx, rootCAName, metav1.GetOptions{})
	if err != nil || cm.Data["ca.crt"] != "the CA" || len(cm.Data) != 1 {
		return false
	}
	_, err = c.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
	return err == nil
}

func TestBootstrap(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		ns, err := c.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if ns.Status.Phase != corev1.NamespaceActive || ns.Labels["kubernetes.io/metadata.name"] != name {
			t.Errorf("%s is %s, labels %v", name, ns.Status.Phase, ns.Labels)
		}
		if !c.furnished(t.Context(), name) {
			t.Errorf("%s lacks its furniture", name)
		}
	}
	if err := c.CoreV1().Namespaces().Delete(t.Context(), "default", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("deletion of default: %v", err)
	}
}

func TestFurniture(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.namespace(t, "team")
	there := func(ctx context.Context) bool { return c.furnished(ctx, "team") }
	eventually(t, "a new namespace is furnished", there)

	if err := c.CoreV1().ServiceAccounts("team").Delete(t.Context(), "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.CoreV1().ConfigMaps("team").Delete(t.Context(), rootCAName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was deleted is back", there)

	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: rootCAName}, Data: map[string]string{"ca.crt": "forged", "more": ""}}
	if _, err := c.CoreV1().ConfigMaps("team").Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was changed is put right", there)
}

func TestNamespaceIsEmptied(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.namespace(t, "team")
	c.pod(t, "team", "web", "skiff")
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
	if _, err := c.CoreV1().Services("team").Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod has its grace period", func(ctx context.Context) bool {
		pod, err := c.CoreV1().Pods("team").Get(ctx, "web", metav1.GetOptions{})
		return err == nil && pod.DeletionTimestamp != nil && *pod.DeletionGracePeriodSeconds == 30
	})
	eventually(t, "what needs no time is gone", func(ctx context.Context) bool {
		return gone(c.CoreV1().Services("team").Get(ctx, "web", metav1.GetOptions{})) &&
			gone(c.CoreV1().ServiceAccounts("team").Get(ctx, "default", metav1.GetOptions{}))
	})
	ns, err := c.CoreV1().Namespaces().Get(t.Context(), "team", metav1.GetOptions{})
	if err != nil || ns.Status.Phase != corev1.NamespaceTerminating {
		t.Fatalf("phase is %s, %v", ns.Status.Phase, err)
	}
	_, err = c.CoreV1().ConfigMaps("team").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late"}}, metav1.CreateOptions{})
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("creation in a terminating namespace: %v", err)
	}
	if err := c.CoreV1().Pods("team").Delete(t.Context(), "web", metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace goes with its last pod", func(ctx context.Context) bool {
		return gone(c.CoreV1().Namespaces().Get(ctx, "team", metav1.GetOptions{}))
	})
}

// The collector passes Events over, so a finalizer of its own would keep one, and
// its namespace, for good.
func TestEventsGoWhateverThePolicy(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan} {
		event := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: "e"},
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "p"},
		}
		if _, err := c.CoreV1().Events("default").Create(t.Context(), event, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := c.CoreV1().Events("default").Delete(t.Context(), "e", metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
			t.Fatal(err)
		}
		if !gone(c.CoreV1().Events("default").Get(t.Context(), "e", metav1.GetOptions{})) {
			t.Errorf("it is still there after a deletion with the policy %s", policy)
		}
	}
}
