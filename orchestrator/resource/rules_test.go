package resource

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestPrepareKeepsStatusApart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		def      *Definition
		old, obj runtime.Object
	}{
		{pod(), buildPod(t, "status: {phase: Running}"), buildPod(t, "{spec: {restartPolicy: Never}, status: {phase: Failed}}")},
		{deployment(), buildDeployment(t, "status: {replicas: 1}"), buildDeployment(t, "{spec: {replicas: 5}, status: {replicas: 2}}")},
		{replicaSet(), build(t, replicaSet(), &appsv1.ReplicaSet{}, soundDeployment, "status: {replicas: 1}"),
			build(t, replicaSet(), &appsv1.ReplicaSet{}, soundDeployment, "{spec: {replicas: 5}, status: {replicas: 2}}")},
	} {
		t.Run(test.def.Plural, func(t *testing.T) {
			t.Parallel()
			test.def.PrepareUpdate(test.old, test.old.DeepCopyObject()) // as it is in the store
			spec, status := test.obj.DeepCopyObject(), test.obj.DeepCopyObject()
			test.def.PrepareUpdate(spec, test.old)
			test.def.PrepareStatus(status, test.old)
			if test.def.SpecChanged(status, test.old) {
				t.Error("a status update changed the spec")
			}
			if !test.def.SpecChanged(test.obj, test.old) {
				t.Error("a change of the spec went unseen")
			}
			test.def.PrepareUpdate(status, test.old)
			if diff := cmp.Diff(test.old, status); diff != "" {
				t.Errorf("what is left of the old object differs:\n%s", diff)
			}
		})
	}
}

func TestStatusUpdateKeepsMetadata(t *testing.T) {
	t.Parallel()
	owner := []metav1.OwnerReference{{Name: "rs"}}
	old := buildPod(t, "metadata: {labels: {a: b}}")
	old.OwnerReferences = owner
	now := metav1.Now()
	obj := buildPod(t, "metadata: {labels: {a: c}}")
	obj.DeletionTimestamp = &now
	pod().PrepareStatus(obj, old)
	if obj.DeletionTimestamp != nil || !cmp.Equal(obj.OwnerReferences, owner) {
		t.Errorf("a status update changed a Pod's owner or deletion: %+v", obj.ObjectMeta)
	}

	d, was := buildDeployment(t, "metadata: {labels: {a: c}}"), buildDeployment(t, "metadata: {labels: {a: b}}")
	deployment().PrepareStatus(d, was)
	if d.Labels["a"] != "b" {
		t.Errorf("a status update changed a Deployment's labels to %v", d.Labels)
	}
}

func TestDeploymentGenerationCountsAnnotations(t *testing.T) {
	t.Parallel()
	old, obj := buildDeployment(t, ""), buildDeployment(t, "metadata: {annotations: {a: b}}")
	if !deployment().SpecChanged(obj, old) {
		t.Error("a new annotation is not seen as a change")
	}
	if replicaSet().SpecChanged(&appsv1.ReplicaSet{ObjectMeta: obj.ObjectMeta}, &appsv1.ReplicaSet{}) {
		t.Error("a ReplicaSet's annotation is seen as a change")
	}
}

func TestGracePeriod(t *testing.T) {
	t.Parallel()
	for patch, want := range map[string]int64{
		"": 0,
		"{spec: {nodeName: skiff}, status: {phase: Running}}":                                    30,
		"{spec: {nodeName: skiff, terminationGracePeriodSeconds: 5}, status: {phase: Running}}":  5,
		"{spec: {nodeName: skiff, terminationGracePeriodSeconds: 0}, status: {phase: Running}}":  0,
		"{spec: {nodeName: skiff, terminationGracePeriodSeconds: -1}, status: {phase: Running}}": 1,
		"{spec: {nodeName: skiff}, status: {phase: Succeeded}}":                                  0,
		"{spec: {nodeName: skiff}, status: {phase: Failed}}":                                     0,
	} {
		if got := pod().GracePeriod(buildPod(t, patch)); got != want {
			t.Errorf("grace period of %q = %d, want %d", patch, got, want)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	p := buildPod(t, "{spec: {nodeName: skiff, serviceAccountName: sa}, status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}}")
	set := pod().Fields(p)
	for selector, want := range map[string]bool{
		"spec.nodeName=skiff,status.phase=Running":           true,
		"status.podIP=10.0.0.1,spec.serviceAccountName=sa":   true,
		"spec.restartPolicy=Always,spec.schedulerName!=mine": true,
		"status.nominatedNodeName=,spec.hostNetwork=false":   true,
		"status.phase!=Running":                              false,
		"spec.nodeName=":                                     false,
	} {
		parsed, err := fields.ParseSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.Matches(set); got != want {
			t.Errorf("%s matches: %t, want %t", selector, got, want)
		}
	}
	rs := &appsv1.ReplicaSet{Status: appsv1.ReplicaSetStatus{Replicas: 4}}
	if got := replicaSet().Fields(rs)["status.replicas"]; got != "4" {
		t.Errorf("status.replicas = %q, want 4", got)
	}
}

func TestAdmitPod(t *testing.T) {
	t.Parallel()
	p := buildPod(t, "spec: {priorityClassName: system-cluster-critical, tolerations: [{operator: Exists}]}")
	pod().PrepareCreate(p)
	if len(p.Spec.Tolerations) != 1 {
		t.Errorf("tolerations = %v, want the one that tolerates all", p.Spec.Tolerations)
	}
	if *p.Spec.Priority != 2000000000 || p.Status.QOSClass != corev1.PodQOSBestEffort || p.Status.Phase != corev1.PodPending {
		t.Errorf("priority %d, class %s, phase %s", *p.Spec.Priority, p.Status.QOSClass, p.Status.Phase)
	}
}
