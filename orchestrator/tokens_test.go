package orchestrator_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/skifftest"
)

// TestTokens: a Pod's token lets it look at its own namespace, and no more.
func TestTokens(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.create(t, volumePod("without", nil, func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = ptr.To(false) }))
	s.create(t, volumePod("with", nil))
	pod := s.ready(t, "with")
	const dir = "/var/run/secrets/kubernetes.io/serviceaccount/"
	text := func(name, mode string) string {
		got, err := s.inside(t, pod, "show", dir+name)
		line, ok := strings.CutPrefix(got, dir+name+" "+mode+" ")
		if err != nil || !ok {
			t.Fatalf("%s from inside: %q, %v", name, got, err)
		}
		return strings.TrimSuffix(line, "\n")
	}
	if ns := text("namespace", "-rw-r--r-- 0:0"); ns != skifftest.Namespace {
		t.Errorf("namespace: %q", ns)
	}
	config := &rest.Config{Host: s.Config.Host, BearerToken: text("token", "-rw------- 65534:0"), TLSClientConfig: rest.TLSClientConfig{CAData: []byte(text("ca.crt", "-rw-r--r-- 0:0"))}}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Discovery().ServerVersion(); err != nil {
		t.Errorf("version: %v", err)
	}
	if list, err := client.CoreV1().Pods(skifftest.Namespace).List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 2 {
		t.Errorf("its own namespace's Pods: %v, %v", list, err)
	}
	const who = `User "system:serviceaccount:default:default" cannot `
	forbidden := map[string]func() error{
		`secrets is forbidden: ` + who + `list resource "secrets" in API group "" in the namespace "default"`: func() error {
			_, err := client.CoreV1().Secrets(skifftest.Namespace).List(t.Context(), metav1.ListOptions{})
			return err
		},
		`pods is forbidden: ` + who + `list resource "pods" in API group "" at the cluster scope`: func() error {
			_, err := client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
			return err
		},
		`pods "with" is forbidden: ` + who + `delete resource "pods" in API group "" in the namespace "default"`: func() error {
			return client.CoreV1().Pods(skifftest.Namespace).Delete(t.Context(), "with", metav1.DeleteOptions{})
		},
		`deployments.apps is forbidden: ` + who + `create resource "deployments" in API group "apps" in the namespace "default"`: func() error {
			_, err := client.AppsV1().Deployments(skifftest.Namespace).Create(t.Context(), web(1), metav1.CreateOptions{})
			return err
		},
		`nodes "skiff" is forbidden: ` + who + `get resource "nodes" in API group "" at the cluster scope`: func() error {
			_, err := client.CoreV1().Nodes().Get(t.Context(), "skiff", metav1.GetOptions{})
			return err
		},
	}
	for want, try := range forbidden {
		if err := try(); !apierrors.IsForbidden(err) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if without := s.ready(t, "without"); len(without.Spec.Volumes) != 0 {
		t.Errorf("volumes without automount: %+v", without.Spec.Volumes)
	}

	// The token ends with its Pod.
	if err := s.Client.CoreV1().Pods(skifftest.Namespace).Delete(t.Context(), "with", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.WaitPods(t, "app=with", func(pods []corev1.Pod) bool { return len(pods) == 0 })
	if _, err := client.CoreV1().Pods(skifftest.Namespace).List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("the token of a Pod that is gone: %v", err)
	}
	_, err = s.Client.CoreV1().Pods(skifftest.Namespace).Create(t.Context(), volumePod("nobody", nil, func(p *corev1.Pod) { p.Spec.ServiceAccountName = "nobody" }), metav1.CreateOptions{})
	if want := `pods "nobody" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found`; err == nil || err.Error() != want {
		t.Errorf("no such account: %v", err)
	}
}
