package deployment_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"

	"skiff/orchestrator/rollout"
)

// setFor is the ReplicaSet that a Deployment would create, without an owner.
func setFor(d *appsv1.Deployment) *appsv1.ReplicaSet {
	hash := rollout.TemplateHash(&d.Spec.Template, nil)
	template := *d.Spec.Template.DeepCopy()
	template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: d.Name + "-" + hash, Namespace: namespace, Labels: template.Labels},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: d.Spec.Replicas,
			Selector: &metav1.LabelSelector{MatchLabels: template.Labels},
			Template: template,
		},
	}
}

func (c *cluster) createSet(rs *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	c.t.Helper()
	created, err := c.api.Client.AppsV1().ReplicaSets(namespace).Create(c.t.Context(), rs, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.settle()
	return created
}

// A Deployment deleted with its ReplicaSets left, and created again, takes the
// Pods over as they are.
func TestAdoption(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		d := newDeployment("web", 2)
		orphan := c.createSet(setFor(d))
		c.kubelet(everyImage)
		before := c.pods("web:1")
		c.create(d)
		c.kubelet(everyImage)
		if rs := c.set("web:1"); rs.UID != orphan.UID || !metav1.IsControlledBy(rs, c.deployment("web")) {
			t.Errorf("replica set is %s, owned by %v", rs.UID, rs.OwnerReferences)
		}
		after := c.pods("web:1")
		if len(after) != 2 || after[0].UID != before[0].UID || after[1].UID != before[1].UID {
			t.Errorf("pods changed: %d before, %d after", len(before), len(after))
		}
	})
}

func TestRelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("web", 1))
		rs := c.set("web:1").DeepCopy()
		rs.Labels = map[string]string{"app": "other"}
		if _, err := c.api.Client.AppsV1().ReplicaSets(namespace).Update(t.Context(), rs, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.settle()
		for _, set := range c.api.State().ReplicaSets {
			if set.UID == rs.UID && len(set.OwnerReferences) > 0 {
				t.Errorf("still owned: %v", set.OwnerReferences)
			}
		}
	})
}

// Something else has the name already: another name is made.
func TestNameCollision(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		d := newDeployment("web", 1)
		taken := setFor(d)
		taken.Labels = map[string]string{"app": "other"}
		taken.Spec.Selector.MatchLabels = taken.Labels
		taken.Spec.Template.Labels = taken.Labels
		taken.Spec.Template.Spec.Containers[0].Image = "other:1"
		c.createSet(taken)
		c.create(d)
		c.kubelet(everyImage)
		d = c.deployment("web")
		if d.Status.CollisionCount == nil || *d.Status.CollisionCount != 1 {
			t.Fatalf("collision count is %v, want 1", d.Status.CollisionCount)
		}
		if rs := c.set("web:1"); rs.Name != "web-"+rollout.TemplateHash(&d.Spec.Template, new(int32(1))) || !metav1.IsControlledBy(rs, d) {
			t.Errorf("replica set is %s", rs.Name)
		}
	})
}

// After delete and create the names are the same as before, even if the former
// Deployment's ReplicaSet is still there at that moment.
func TestNameOfDeletedDeploymentIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		d := newDeployment("web", 1)
		former := setFor(d)
		former.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "former", Controller: new(true)}}
		former.Spec.Replicas = new(int32(0))
		c.createSet(former)
		c.create(d)
		if got := c.deployment("web").Status.CollisionCount; got != nil {
			t.Errorf("collision count is %d", *got)
		}
		if err := c.api.Client.AppsV1().ReplicaSets(namespace).Delete(t.Context(), former.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		c.settle()
		c.kubelet(everyImage)
		if rs := c.set("web:1"); rs.Name != former.Name || !metav1.IsControlledBy(rs, c.deployment("web")) {
			t.Errorf("replica set is %s of %v", rs.Name, rs.OwnerReferences)
		}
	})
}

func TestReplicaSetCannotBeCreated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		var allowed atomic.Bool
		c.api.Intercept = func(action clienttesting.Action) error {
			if !allowed.Load() && action.Matches("create", "replicasets") {
				return apierrors.NewForbidden(action.GetResource().GroupResource(), "", errors.New("disk full"))
			}
			return nil
		}
		c.create(newDeployment("web", 1))
		cond := rollout.Condition(&c.deployment("web").Status, appsv1.DeploymentProgressing)
		if cond == nil || cond.Reason != "ReplicaSetCreateError" || cond.Status != corev1.ConditionFalse || !strings.Contains(cond.Message, "disk full") {
			t.Errorf("condition is %+v", cond)
		}
		if events := strings.Join(c.api.Events(), "\n"); !strings.Contains(events, "Warning ReplicaSetCreateError Failed to create new replica set") {
			t.Errorf("events are %s", events)
		}
		allowed.Store(true)
		time.Sleep(time.Minute)
		c.kubelet(everyImage)
		c.wantSets("web:1=1")
	})
}
