package orchestrator_test

import (
	"fmt"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// webImage is built by examples/images, which the Makefile runs before tests.
const webImage = "skiff-example/web:1"

var needImages = sync.OnceValue(func() error {
	if out, err := exec.Command("docker", "image", "inspect", webImage).CombinedOutput(); err != nil {
		return fmt.Errorf("%s is not here, run \"make images\" first: %s", webImage, out)
	}
	return nil
})

func images(t testing.TB) {
	t.Helper()
	if err := needImages(); err != nil {
		t.Fatal(err)
	}
}

// web is a Deployment of examples/web that drops everything at SIGTERM. Its
// version is an environment variable, so any number of versions needs one image.
func web(replicas int32, change ...func(*appsv1.Deployment)) *appsv1.Deployment {
	labels := map[string]string{"app": "web"}
	grace := int64(30)
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: &grace,
					Containers: []corev1.Container{{
						Name:  "web",
						Image: webImage,
						Env:   []corev1.EnvVar{{Name: "RUDE", Value: "true"}, {Name: "VERSION", Value: "1"}, {Name: "LATENCY", Value: "2ms"}},
						Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
						ReadinessProbe: &corev1.Probe{
							ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromString("http")}},
							PeriodSeconds: 1, TimeoutSeconds: 10, // a busy machine is slow, and not unready
						},
					}},
				},
			},
		},
	}
	for _, c := range change {
		c(d)
	}
	return d
}

func setEnv(name, value string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		c := &d.Spec.Template.Spec.Containers[0]
		for i := range c.Env {
			if c.Env[i].Name == name {
				c.Env[i].Value = value
				return
			}
		}
		c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
	}
}

// drain is how many seconds a leaving Pod's streams are let live.
func drain(seconds string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		d.Spec.Template.Annotations = map[string]string{"skiff.dev/drain-seconds": seconds}
	}
}

func version(n int) func(*appsv1.Deployment) { return setEnv("VERSION", strconv.Itoa(n)) }

func recreate(d *appsv1.Deployment) {
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
}

func surge(maxSurge, maxUnavailable intstr.IntOrString) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		d.Spec.Strategy = appsv1.DeploymentStrategy{
			Type:          appsv1.RollingUpdateDeploymentStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &maxSurge, MaxUnavailable: &maxUnavailable},
		}
	}
}

// nodePort is a Service on a free node port whose port's name chooses how it is
// forwarded: http, or tcp.
func nodePort(name, portName string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeNodePort,
			Selector: map[string]string{"app": "web"},
			Ports:    []corev1.ServicePort{{Name: portName, Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}
}
