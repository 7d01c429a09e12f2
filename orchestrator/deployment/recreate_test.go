package deployment_test

import (
	"testing"
	"testing/synctest"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/rollout/fakeapi"
)

func recreate(d *appsv1.Deployment) {
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
}

func TestRecreateWaitsUntilThePodsAreGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("db", 2, recreate))
		c.kubelet(everyImage)
		c.setImage("db", "db:2")
		c.wantSets("db:1=0")
		if n := len(c.pods("db:1")) + len(c.pods("db:2")); n != 0 {
			t.Errorf("%d pods are active, want none", n)
		}
		terminating := c.api.State().Pods
		c.api.Finish(namespace, terminating[0].Name)
		c.settle()
		c.wantSets("db:1=0")
		c.api.Finish(namespace, terminating[1].Name)
		c.settle()
		c.wantSets("db:1=0 db:2=2")
		c.kubelet(everyImage)
		first, second := c.set("db:1").Name, c.set("db:2").Name
		c.wantEvents(
			"Normal ScalingReplicaSet Scaled up replica set "+first+" from 0 to 2",
			"Normal ScalingReplicaSet Scaled down replica set "+first+" from 2 to 0",
			"Normal ScalingReplicaSet Scaled up replica set "+second+" from 0 to 2",
		)
	})
}

// Undone while the first version's Pod is still terminating: its successor of
// the same version must wait for it as well.
func TestRecreateWaitsForItsOwnKind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("db", 1, recreate))
		c.kubelet(everyImage)
		c.setImage("db", "db:2")
		c.setImage("db", "db:1")
		c.wantSets("db:1=0")
		c.kubelet(everyImage)
		c.wantSets("db:1=1")
	})
}

func TestRecreateWaitsForPodsWithoutReplicaSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("db", 1, recreate))
		c.kubelet(everyImage)
		c.setImage("db", "db:2")
		if err := c.api.Client.AppsV1().ReplicaSets(namespace).Delete(t.Context(), c.set("db:1").Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		c.settle()
		c.wantSets("")
		c.kubelet(everyImage)
		c.wantSets("db:2=1")
	})
}

// No two Pods of a Recreate Deployment are ever there together, whatever the
// controllers hear late.
func TestRecreateNeverOverlaps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("db", 1, recreate))
		c.kubelet(everyImage)
		c.api.Changed = func(s fakeapi.State) {
			if len(s.Pods) > 1 {
				t.Errorf("%d pods at a time", len(s.Pods))
			}
		}
		resources := []string{fakeapi.Deployments, fakeapi.ReplicaSets, fakeapi.Pods}
		for _, late := range resources {
			for _, image := range []string{"db:2", "db:1", "db:3"} {
				c.api.Hold(late)
				c.setImage("db", image)
				c.kubelet(everyImage)
				for c.api.Show(late, 1) > 0 {
					c.settle()
				}
				c.api.Release(late)
				c.settle()
				c.kubelet(everyImage)
				if n := len(c.pods(image)); n != 1 {
					t.Fatalf("%d pods of %s, want 1; sets %s", n, image, c.sets())
				}
			}
		}
	})
}
