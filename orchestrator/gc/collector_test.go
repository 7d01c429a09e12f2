package gc

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	one := []metav1.OwnerReference{{UID: "1"}}
	tests := []struct {
		name          string
		owners        owners
		hasDependents bool
		want          action
	}{
		{"no owners", owners{}, false, keep},
		{"owner is there", owners{solid: one}, true, keep},
		{"owner is gone", owners{gone: one}, true, removeNow},
		{"one of two is gone", owners{gone: one, solid: one}, false, release},
		{"one of two waits", owners{waiting: one, solid: one}, false, release},
		{"owner waits", owners{waiting: one}, false, removeNow},
		{"owner waits, object has dependents", owners{waiting: one}, true, removeAfterDependents},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := decide(tt.owners, tt.hasDependents); got != tt.want {
				t.Errorf("action is %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBackground(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d := c.deployment(t, "web")
	rs := c.replicaSet(t, "web-1", ownedBy(d, "Deployment"))
	c.pod(t, "default", "web-1-a", "", ownedBy(rs, "ReplicaSet"))
	c.pod(t, "default", "alone", "")

	c.deleteDeployment(t, "web", metav1.DeletePropagationBackground)
	eventually(t, "replica set and pod are gone", func(ctx context.Context) bool {
		return gone(c.AppsV1().ReplicaSets("default").Get(ctx, "web-1", metav1.GetOptions{})) &&
			gone(c.CoreV1().Pods("default").Get(ctx, "web-1-a", metav1.GetOptions{}))
	})
	if _, err := c.CoreV1().Pods("default").Get(t.Context(), "alone", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestForeground(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d := c.deployment(t, "web")
	rs := c.replicaSet(t, "web-1", ownedBy(d, "Deployment"))
	// A Pod on a node stays until the node says that it has stopped.
	c.pod(t, "default", "web-1-a", "skiff", ownedBy(rs, "ReplicaSet"))
	pods := c.CoreV1().Pods("default")

	c.deleteDeployment(t, "web", metav1.DeletePropagationForeground)
	eventually(t, "the pod is going", func(ctx context.Context) bool {
		pod, err := pods.Get(ctx, "web-1-a", metav1.GetOptions{})
		return err == nil && pod.DeletionTimestamp != nil
	})
	if _, err := c.AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{}); err != nil {
		t.Fatalf("the deployment did not wait: %v", err)
	}
	if err := pods.Delete(t.Context(), "web-1-a", metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the owners follow", func(ctx context.Context) bool {
		return gone(c.AppsV1().ReplicaSets("default").Get(ctx, "web-1", metav1.GetOptions{})) &&
			gone(c.AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{}))
	})
}

func TestOrphan(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d := c.deployment(t, "web")
	c.replicaSet(t, "web-1", ownedBy(d, "Deployment"))

	c.deleteDeployment(t, "web", metav1.DeletePropagationOrphan)
	eventually(t, "the deployment is gone", func(ctx context.Context) bool {
		return gone(c.AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{}))
	})
	rs, err := c.AppsV1().ReplicaSets("default").Get(t.Context(), "web-1", metav1.GetOptions{})
	if err != nil || len(rs.OwnerReferences) > 0 {
		t.Errorf("owners are %v, %v", rs.OwnerReferences, err)
	}
}

func TestOwnersThatNeverWere(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d := c.deployment(t, "web")
	former := ownedBy(d, "Deployment")
	former.UID, former.Controller = types.UID("00000000-0000-0000-0000-000000000001"), nil
	stranger := metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "Unknown", Name: "x", UID: "2"}

	c.replicaSet(t, "of-a-former", former)
	c.replicaSet(t, "of-both", ownedBy(d, "Deployment"), former)
	c.replicaSet(t, "of-an-unknown-kind", stranger)

	sets := c.AppsV1().ReplicaSets("default")
	eventually(t, "what had only the former owner is gone", func(ctx context.Context) bool {
		return gone(sets.Get(ctx, "of-a-former", metav1.GetOptions{}))
	})
	eventually(t, "what has another loses the former's name", func(ctx context.Context) bool {
		rs, err := sets.Get(ctx, "of-both", metav1.GetOptions{})
		return err == nil && len(rs.OwnerReferences) == 1 && rs.OwnerReferences[0].UID == d.UID
	})
	if _, err := sets.Get(t.Context(), "of-an-unknown-kind", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestCircle(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	configs := c.CoreV1().ConfigMaps("default")
	create := func(name string) *corev1.ConfigMap {
		cm, err := configs.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return cm
	}
	own := func(cm, owner *corev1.ConfigMap) {
		cm.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID, BlockOwnerDeletion: ptr.To(true),
		}}
		if _, err := configs.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	a, b := create("a"), create("b")
	own(a, b)
	own(b, a)
	err := configs.Delete(t.Context(), "a", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are gone", func(ctx context.Context) bool {
		return gone(configs.Get(ctx, "a", metav1.GetOptions{})) && gone(configs.Get(ctx, "b", metav1.GetOptions{}))
	})
}
