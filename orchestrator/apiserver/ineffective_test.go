package apiserver

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/resource"
)

// Of what has no effect is told once, when somebody writes it, and not again for
// what controllers make of it.
func TestIneffectiveIsTold(t *testing.T) {
	t.Parallel()
	var told []string
	api := newTestAPI(t, false, func(o *Options) {
		o.Resources = resource.All(resource.Options{})
		o.Ineffective = func(obj runtime.Object, fields []string) {
			told = append(told, obj.(object).GetName()+" "+string(obj.(object).GetUID())+": "+strings.Join(fields, " "))
		}
	})
	client := api.proto(t)
	deployments, sets, pods := client.AppsV1().Deployments("default"), client.AppsV1().ReplicaSets("default"), client.CoreV1().Pods("default")
	labels := map[string]string{"app": "web"}
	spec := corev1.PodSpec{SchedulerName: "mine", PriorityClassName: "high", Containers: []corev1.Container{{Name: "c", Image: "web:1"}}}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template}}
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "set"},
		Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod", Labels: labels}, Spec: spec}
	made := func(obj metav1.Object, err error) types.UID {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return obj.GetUID()
	}
	tells := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		told = nil
	}
	patch := func(text string, subresources ...string) {
		t.Helper()
		made(deployments.Patch(t.Context(), "web", types.MergePatchType, []byte(text), metav1.PatchOptions{}, subresources...))
	}
	const ofPod, ofTemplate = "spec.schedulerName spec.priorityClassName", "spec.template.spec.schedulerName spec.template.spec.priorityClassName"

	made(deployments.Create(t.Context(), d, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}))
	tells("a rehearsal")
	web := made(deployments.Create(t.Context(), d, metav1.CreateOptions{}))
	tells("a new deployment", "web "+string(web)+": "+ofTemplate)
	patch(`{"spec":{"replicas":3}}`)
	patch(`{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`)
	patch(`{"status":{"observedGeneration":1}}`, "status")
	tells("other changes than of the template")
	patch(`{"spec":{"template":{"metadata":{"annotations":{"new":"yes"}}}}}`)
	tells("a new template", "web "+string(web)+": "+ofTemplate)
	patch(`{"spec":{"template":{"metadata":{"annotations":{"new":"yes"}}}}}`)
	tells("the same template")
	patch(`{"spec":{"template":{"spec":{"schedulerName":null,"priorityClassName":null}}}}`)
	tells("a template without such fields")

	set := made(sets.Create(t.Context(), rs, metav1.CreateOptions{}))
	one := made(pods.Create(t.Context(), pod, metav1.CreateOptions{}))
	tells("what has no controller", "set "+string(set)+": "+ofTemplate, "pod "+string(one)+": "+ofPod)
	rs.Name, rs.OwnerReferences = "owned", []metav1.OwnerReference{*metav1.NewControllerRef(&metav1.ObjectMeta{Name: "web", UID: web}, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	pod.Name, pod.OwnerReferences = "owned", []metav1.OwnerReference{*metav1.NewControllerRef(&metav1.ObjectMeta{Name: "set", UID: set}, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	made(sets.Create(t.Context(), rs, metav1.CreateOptions{}))
	made(pods.Create(t.Context(), pod, metav1.CreateOptions{}))
	tells("what a controller makes")
}
