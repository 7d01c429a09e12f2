package skifftest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func (l *listener) Fatalf(format string, args ...any) {
	fmt.Fprintf(&l.heard, format+"\n", args...)
	runtime.Goexit()
}

// A rollout that has failed is not waited for any longer.
func TestWaitRolloutEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	i := New(t)
	labels, soon := map[string]string{"app": "web"}, int32(1)
	_, err := i.Client.AppsV1().Deployments(Namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Selector:                &metav1.LabelSelector{MatchLabels: labels},
			ProgressDeadlineSeconds: &soon,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "web", Image: "skiff-example/web:1",
					ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(1)}}},
				}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l, ended := &listener{TB: t}, make(chan struct{})
	go func() {
		defer close(ended)
		i.WaitRollout(l, "web")
	}()
	<-ended
	if !strings.Contains(l.heard.String(), "web exceeded its progress deadline") {
		t.Errorf("it says %q", l.heard.String())
	}
}
