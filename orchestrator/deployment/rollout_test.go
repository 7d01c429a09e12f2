package deployment_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/clock"

	"skiff/orchestrator/rollout"
)

func TestFirstRollout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("web", 3))
		rs := c.set("web:1")
		d := c.deployment("web")
		if want := "web-" + rollout.TemplateHash(&d.Spec.Template, nil); rs.Name != want {
			t.Errorf("replica set is %s, want %s", rs.Name, want)
		}
		hash := rs.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
		if rs.Spec.Selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] != hash || rs.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] != hash {
			t.Errorf("hash label is not everywhere %s: %+v", hash, rs.Spec)
		}
		c.wantCondition("web", appsv1.DeploymentProgressing, corev1.ConditionTrue, "ReplicaSetUpdated", `ReplicaSet "`+rs.Name+`" is progressing.`)
		c.wantCondition("web", appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
		c.kubelet(everyImage)
		c.wantCondition("web", appsv1.DeploymentProgressing, corev1.ConditionTrue, "NewReplicaSetAvailable", `ReplicaSet "`+rs.Name+`" has successfully progressed.`)
		c.wantCondition("web", appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.")
		c.wantEvents("Normal ScalingReplicaSet Scaled up replica set " + rs.Name + " from 0 to 3")
		if d = c.deployment("web"); d.Annotations[rollout.RevisionAnnotation] != "1" || d.Status.ObservedGeneration != d.Generation || d.Generation != 1 {
			t.Errorf("revision %s, generation %d, observed %d", d.Annotations[rollout.RevisionAnnotation], d.Generation, d.Status.ObservedGeneration)
		}
	})
}

func TestRollingUpdate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("web", 3))
		c.kubelet(everyImage)
		c.setImage("web", "web:2")
		c.wantSets("web:1=3 web:2=1")
		c.kubelet(everyImage)
		c.wantSets("web:1=0 web:2=3")
		first, second := c.set("web:1").Name, c.set("web:2").Name
		c.wantEvents(
			"Normal ScalingReplicaSet Scaled up replica set "+first+" from 0 to 3",
			"Normal ScalingReplicaSet Scaled up replica set "+second+" from 0 to 1",
			"Normal ScalingReplicaSet Scaled down replica set "+first+" from 3 to 2",
			"Normal ScalingReplicaSet Scaled up replica set "+second+" from 1 to 2",
			"Normal ScalingReplicaSet Scaled down replica set "+first+" from 2 to 1",
			"Normal ScalingReplicaSet Scaled up replica set "+second+" from 2 to 3",
			"Normal ScalingReplicaSet Scaled down replica set "+first+" from 1 to 0",
		)
	})
}

// A change of revision, as an undo is one, makes the old set the newest
// revision again and creates none.
func TestUndo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("web", 3, func(d *appsv1.Deployment) {
			d.Annotations = map[string]string{"kubernetes.io/change-cause": "first"}
		}))
		c.kubelet(everyImage)
		c.edit("web", func(d *appsv1.Deployment) {
			d.Annotations["kubernetes.io/change-cause"] = "second"
			d.Spec.Template.Spec.Containers[0].Image = "web:2"
		})
		c.kubelet(everyImage)
		if one, two := c.set("web:1"), c.set("web:2"); one.Annotations["kubernetes.io/change-cause"] != "first" || two.Annotations["kubernetes.io/change-cause"] != "second" || two.Annotations[rollout.RevisionAnnotation] != "2" {
			t.Errorf("annotations are %v and %v", one.Annotations, two.Annotations)
		}
		c.edit("web", func(d *appsv1.Deployment) {
			d.Annotations["kubernetes.io/change-cause"] = "first"
			d.Spec.Template.Spec.Containers[0].Image = "web:1"
		})
		c.kubelet(everyImage)
		c.wantSets("web:1=3 web:2=0")
		one := c.set("web:1")
		if one.Annotations[rollout.RevisionAnnotation] != "3" || one.Annotations[rollout.RevisionHistoryAnnotation] != "1" {
			t.Errorf("annotations are %v, want revision 3 after 1", one.Annotations)
		}
		if d := c.deployment("web"); d.Annotations[rollout.RevisionAnnotation] != "3" {
			t.Errorf("deployment is at revision %s, want 3", d.Annotations[rollout.RevisionAnnotation])
		}
	})
}

// A template that never becomes ready leaves the old Pods, times out, and goes
// away by undo without touching a Pod that survived. The condition does not
// say "exceeded" any more then: `kubectl rollout status` would fail by it.
func TestBadRollout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("web", 3))
		c.kubelet(everyImage)
		before := c.pods("web:1")
		c.setImage("web", "web:bad")
		bad := c.set("web:bad").Name
		c.kubelet(func(image string) bool { return image != "web:bad" })
		c.wantSets("web:1=3 web:bad=1")
		time.Sleep(9 * time.Minute)
		c.wantCondition("web", appsv1.DeploymentProgressing, corev1.ConditionTrue, "ReplicaSetUpdated", `ReplicaSet "`+bad+`" is progressing.`)
		time.Sleep(2 * time.Minute)
		c.wantCondition("web", appsv1.DeploymentProgressing, corev1.ConditionFalse, "ProgressDeadlineExceeded", `ReplicaSet "`+bad+`" has timed out progressing.`)
		c.wantCondition("web", appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.")

		c.setImage("web", "web:1")
		if cond := rollout.Condition(&c.deployment("web").Status, appsv1.DeploymentProgressing); cond.Status != corev1.ConditionTrue {
			t.Errorf("right after the undo: %+v", cond)
		}
		c.kubelet(everyImage)
		c.wantSets("web:1=3 web:bad=0")
		after := c.pods("web:1")
		for i, pod := range after {
			if len(after) != len(before) || pod.UID != before[i].UID {
				t.Fatalf("%d pods before, %d after, or another one", len(before), len(after))
			}
		}
	})
}

// busyClock lets time go on in a bubble in which somebody asks for it all the
// time, who would keep the bubble from ever coming to rest.
type busyClock struct {
	clock.RealClock
	asked atomic.Int64
}

const busy = 1000

func (c *busyClock) Now() time.Time {
	if c.asked.Add(1) > busy {
		time.Sleep(time.Second)
	}
	return c.RealClock.Now()
}

// A Deployment that is on its way out while it rolls out, as with foreground
// deletion, is judged no more: when its deadline is over, there is nothing to do.
func TestDeadlineOfOneThatLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked busyClock
		c := startAt(t, &asked)
		c.create(newDeployment("web", 3))
		c.edit("web", func(d *appsv1.Deployment) {
			d.Finalizers, d.DeletionTimestamp = []string{metav1.FinalizerDeleteDependents}, new(metav1.Now())
		})
		time.Sleep(11 * time.Minute)
		c.settle()
		c.wantCondition("web", appsv1.DeploymentProgressing, corev1.ConditionTrue, "ReplicaSetUpdated",
			`ReplicaSet "`+c.set("web:1").Name+`" is progressing.`)
		if n := asked.asked.Load(); n > busy {
			t.Errorf("looked at more than %d times", busy)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("web", 2))
		c.kubelet(everyImage)
		c.edit("web", func(d *appsv1.Deployment) {
			d.Spec.Paused = true
			d.Spec.Template.Spec.Containers[0].Image = "web:2"
		})
		c.kubelet(everyImage)
		c.wantSets("web:1=2")
		c.wantCondition("web", appsv1.DeploymentProgressing, corev1.ConditionUnknown, "DeploymentPaused", "Deployment is paused")
		c.edit("web", func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(4)) })
		c.wantSets("web:1=4")
		time.Sleep(time.Hour) // a pause does not count as lack of progress
		c.edit("web", func(d *appsv1.Deployment) { d.Spec.Paused = false })
		c.kubelet(everyImage)
		c.wantSets("web:1=0 web:2=4")
		c.wantCondition("web", appsv1.DeploymentProgressing, corev1.ConditionTrue, "NewReplicaSetAvailable", `ReplicaSet "`+c.set("web:2").Name+`" has successfully progressed.`)
	})
}

func TestPausedBeforeItBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("web", 2, func(d *appsv1.Deployment) { d.Spec.Paused = true }))
		c.kubelet(everyImage)
		c.wantSets("")
		c.edit("web", func(d *appsv1.Deployment) { d.Spec.Paused = false })
		c.kubelet(everyImage)
		c.wantSets("web:1=2")
	})
}

func TestScalingDuringRolloutIsProportional(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("web", 10, func(d *appsv1.Deployment) {
			d.Spec.Strategy = rolling(intstr.FromInt32(3), intstr.FromInt32(2))
		}))
		c.kubelet(everyImage)
		c.setImage("web", "web:bad")
		c.kubelet(func(image string) bool { return image != "web:bad" })
		c.wantSets("web:1=8 web:bad=5")
		c.edit("web", func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(15)) })
		c.kubelet(func(image string) bool { return image != "web:bad" })
		c.wantSets("web:1=11 web:bad=7")
	})
}

func TestHistoryLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("web", 1, func(d *appsv1.Deployment) { d.Spec.RevisionHistoryLimit = new(int32(1)) }))
		c.kubelet(everyImage)
		for _, image := range []string{"web:2", "web:3"} {
			c.setImage("web", image)
			c.kubelet(everyImage)
		}
		c.wantSets("web:2=0 web:3=1")
	})
}

func TestRestWritesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.create(newDeployment("web", 3))
		c.kubelet(everyImage)
		before := len(c.api.Requests())
		// An update that asks for nothing wakes everything.
		c.edit("web", func(*appsv1.Deployment) {})
		for _, pod := range c.api.State().Pods {
			c.api.SetPod(namespace, pod.Name, func(*corev1.Pod) {})
		}
		time.Sleep(time.Hour)
		c.settle()
		if after := c.api.Requests()[before:]; len(after) > 0 {
			t.Errorf("requests at rest: %v", after)
		}
	})
}
