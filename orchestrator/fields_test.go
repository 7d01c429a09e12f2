package orchestrator_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/skifftest"
)

// TestFields looks, on one instance, at what fields of Pods do that have no test
// of their group's own.
func TestFields(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	t.Run("group", func(t *testing.T) { t.Parallel(); testGroupOfFiles(t, s) })
	t.Run("seccomp", func(t *testing.T) { t.Parallel(); testSeccomp(t, s) })
	t.Run("gate", func(t *testing.T) { t.Parallel(); testGate(t, s) })
	t.Run("recreate", func(t *testing.T) { t.Parallel(); testRecreate(t, s) })
	t.Run("without effect", func(t *testing.T) { t.Parallel(); testWithoutEffect(t, s) })
}

// What one Pod left in a claim is given to the group of the next one.
func testGroupOfFiles(t *testing.T, s stage) {
	if _, err := s.Client.CoreV1().PersistentVolumeClaims(skifftest.Namespace).Create(t.Context(), claimObject("shared", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.create(t, volumePod("owner", claimVolume("shared")))
	owner := s.ready(t, "owner")
	if _, err := s.inside(t, owner, "write", "/data/file", "text"); err != nil {
		t.Fatal(err)
	}
	s.shows(t, owner, "/data/file -rw-r--r-- 65534:65534 text")
	s.create(t, volumePod("member", claimVolume("shared"), func(p *corev1.Pod) {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](10001), RunAsGroup: ptr.To[int64](10001), FSGroup: ptr.To[int64](2000)}
	}))
	member := s.ready(t, "member")
	s.shows(t, member, "/data/file -rw-rw-r-- 65534:2000 text")
	if _, err := s.inside(t, member, "write", "/data/file", "mine"); err != nil {
		t.Errorf("a member of the group writes: %v", err)
	}
}

// A profile of the node's holds in the container; one that is not there keeps it
// from being made.
func testSeccomp(t *testing.T, s stage) {
	dir := filepath.Join(s.Options.DataDir, "seccomp")
	profile := `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getgroups"], "action": "SCMP_ACT_ERRNO"}]}`
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "no-groups.json"), []byte(profile), 0o644)); err != nil {
		t.Fatal(err)
	}
	with := func(name, profile string) *corev1.Pod {
		return volumePod(name, nil, func(p *corev1.Pod) {
			p.Spec.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: &profile}
		})
	}
	s.create(t, with("filtered", "no-groups.json"))
	s.create(t, with("unfiltered", "none.json"))
	pod := s.ready(t, "filtered")
	eventually(t, "the container says that it may not ask for its groups", func() bool {
		log, err := s.Client.CoreV1().Pods(skifftest.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(t.Context())
		return err == nil && strings.Contains(string(log), `"groups":null`)
	})
	s.WaitPods(t, "app=unfiltered", func(pods []corev1.Pod) bool {
		if len(pods) != 1 || len(pods[0].Status.ContainerStatuses) != 1 {
			return false
		}
		w := pods[0].Status.ContainerStatuses[0].State.Waiting
		return w != nil && w.Reason == "CreateContainerError" && strings.HasPrefix(w.Message, `cannot load seccomp profile "`+filepath.Join(dir, "none.json")+`": `)
	})
}

// A Pod with a gate is ready once somebody opens that, and a budget holds it from
// then on.
func testGate(t *testing.T, s stage) {
	pods, budgets := s.Client.CoreV1().Pods(skifftest.Namespace), s.Client.PolicyV1().PodDisruptionBudgets(skifftest.Namespace)
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "gated"}, Spec: policyv1.PodDisruptionBudgetSpec{
		MinAvailable: ptr.To(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "gated"}},
	}}
	if _, err := budgets.Create(t.Context(), budget, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.create(t, volumePod("gated", nil, func(p *corev1.Pod) {
		p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/open"}}
	}))
	is := func(pod *corev1.Pod, kind corev1.PodConditionType) bool {
		return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == kind && c.Status == corev1.ConditionTrue
		})
	}
	s.WaitPods(t, "app=gated", func(list []corev1.Pod) bool {
		return len(list) == 1 && is(&list[0], corev1.ContainersReady) && !is(&list[0], corev1.PodReady)
	})
	opened := `{"status": {"conditions": [{"type": "example.com/open", "status": "True"}]}}`
	if _, err := pods.Patch(t.Context(), "gated", types.StrategicMergePatchType, []byte(opened), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	s.ready(t, "gated")
	eventually(t, "the budget counts the Pod", func() bool {
		b, err := budgets.Get(t.Context(), "gated", metav1.GetOptions{})
		return err == nil && b.Status.CurrentHealthy == 1 && b.Status.ObservedGeneration == b.Generation
	})
	err := pods.EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "gated"}})
	if !apierrors.IsTooManyRequests(err) {
		t.Errorf("evicted past its budget: %v", err)
	}
}

// testRecreate upgrades the database of examples/mongo, whose servers must not
// run side by side. It is ready once it takes connections.
func testRecreate(t *testing.T, s stage) {
	dir := t.TempDir()
	s.Apply(t, changed(t, "../examples/mongo/mongo.yaml", "/tmp/skiff-example-mongo", dir, "    nodePort: 30018\n", ""))
	s.WaitRollout(t, "mongo")
	old := s.WaitPods(t, "app=mongo", func(pods []corev1.Pod) bool { return len(pods) == 1 })[0]
	s.Update(t, "mongo", func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "mongo:3.5" })
	s.WaitRollout(t, "mongo")
	pod := s.WaitPods(t, "app=mongo", func(pods []corev1.Pod) bool { return len(pods) == 1 })[0]
	if pod.UID == old.UID || pod.Status.ContainerStatuses[0].Image != "mongo:3.5" || !podReady(&pod) {
		t.Errorf("after the upgrade there is %s: %+v", pod.Name, pod.Status)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) == 0 {
		t.Errorf("in the folder of the host there is %v, %v", files, err)
	}
}

// Of a field without effect an event tells once for each template that has it: on the
// Deployment, and not on what is made of it, nor anew when nothing but the scale changes.
func testWithoutEffect(t *testing.T, s stage) {
	const name = "aimless"
	template := volumePod(name, nil)
	template.Spec.SchedulerName = "mine"
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: template.Labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: template.Labels}, Spec: template.Spec},
	}}
	if _, err := s.Client.AppsV1().Deployments(skifftest.Namespace).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.WaitRollout(t, name)
	s.Update(t, name, func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](2) })
	s.WaitRollout(t, name)
	told := func() (events []string) {
		list, err := s.Client.CoreV1().Events(skifftest.Namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=FieldsWithoutEffect"})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			if strings.HasPrefix(e.InvolvedObject.Name, name) {
				events = append(events, fmt.Sprintf("%s %s/%s %d: %s", e.Type, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Count, e.Message))
			}
		}
		return events
	}
	event := func(count int) []string {
		return []string{fmt.Sprintf("Normal Deployment/%s %d: accepted, and without effect in skiff: spec.template.spec.schedulerName", name, count)}
	}
	eventually(t, "an event tells of it", func() bool { return len(told()) > 0 })
	if got := told(); !slices.Equal(got, event(1)) {
		t.Errorf("events: %q", got)
	}
	s.Update(t, name, func(d *appsv1.Deployment) { d.Spec.Template.Annotations = map[string]string{"new": "yes"} })
	eventually(t, "an event tells of the new template", func() bool { return slices.Equal(told(), event(2)) })
	s.WaitRollout(t, name)
	if got := told(); !slices.Equal(got, event(2)) {
		t.Errorf("events: %q", got)
	}
}
