package orchestrator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/porttest"
	"skiff/orchestrator/skifftest"
)

// TestExamplesOfPods runs the manifests of examples/pods and looks from inside
// the containers and at their status.
func TestExamplesOfPods(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t)
	examples := []struct {
		name   string
		look   func(*testing.T, *skifftest.Instance)
		warned []string // how the API's warnings begin
		change []string // of its text
	}{
		{name: "resources", look: exampleResources},
		{name: "security", look: exampleSecurity},
		{name: "environment", look: exampleEnvironment},
		{name: "volumes", look: exampleVolumes},
		{name: "claim", look: exampleClaim, warned: []string{`spec.template.spec.volumes[0]: claim "notes" is written by the old and the new Pods`}},
		{name: "scheduling", look: exampleScheduling, warned: []string{
			"spec.template.spec.affinity.podAntiAffinity has no effect: there is one node",
			"spec.template.spec.topologySpreadConstraints has no effect: there is one node",
		}},
		{name: "group", look: exampleGroup},
		{name: "budget", look: exampleBudget},
		{name: "ports", look: examplePorts, change: []string{examplePort, strconv.Itoa(porttest.Free(t))}},
	}
	var names []string
	for _, e := range examples {
		names = append(names, e.name)
		warnings := i.Apply(t, changed(t, "../examples/pods/"+e.name+".yaml", e.change...))
		if !slices.EqualFunc(warnings, e.warned, strings.HasPrefix) {
			t.Errorf("%s: warnings %q, want %q", e.name, warnings, e.warned)
		}
	}
	allOf(t, "../examples/pods", names...)
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) { e.look(t, i) })
	}
}

// changed is a copy of a manifest with some of its text changed.
func changed(t *testing.T, file string, change ...string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.WriteFile(file, []byte(strings.NewReplacer(change...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// allOf fails the test unless these are all manifests of a folder, or more.
func allOf(t *testing.T, dir string, names ...string) {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d manifests in %s, %v", len(files), dir, err)
	}
	for _, file := range files {
		if !slices.Contains(names, strings.TrimSuffix(filepath.Base(file), ".yaml")) {
			t.Errorf("no test runs %s", file)
		}
	}
}

// exampleGroup: what root has left in a claim is given to the group of the Pod
// that comes next.
func exampleGroup(t *testing.T, i *skifftest.Instance) {
	pods := i.Client.CoreV1().Pods(skifftest.Namespace)
	i.WaitPod(t, "first", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded })
	before := i.WaitPod(t, "second", running)
	if err := pods.Delete(t.Context(), "second", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Pod is gone", func() bool {
		_, err := pods.Get(t.Context(), "second", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	again := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "second"}, Spec: before.Spec}
	if _, err := pods.Create(t.Context(), again, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	onStage(t, i).shows(t, i.WaitPod(t, "second", running), "/data dgrwxrwxrwx 0:2000 file", "/data/file -rw-rw-r-- 0:2000 one")
}

// exampleBudget: of two Pods one may be evicted, the last one not.
func exampleBudget(t *testing.T, i *skifftest.Instance) {
	budget := func(healthy, allowed int32) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d Pods are healthy, %d may go", healthy, allowed), func() bool {
			b, err := i.Client.PolicyV1().PodDisruptionBudgets(skifftest.Namespace).Get(t.Context(), "steady", metav1.GetOptions{})
			return err == nil && b.Status.DesiredHealthy == 1 && b.Status.CurrentHealthy == healthy && b.Status.DisruptionsAllowed == allowed
		})
	}
	evict := func() error {
		t.Helper()
		pod := i.WaitPods(t, "app=steady", func(pods []corev1.Pod) bool { return len(pods) > 0 })[0]
		return i.Client.CoreV1().Pods(skifftest.Namespace).EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name}})
	}
	i.WaitRollout(t, "steady")
	budget(2, 1)
	if err := evict(); err != nil {
		t.Errorf("of two Pods none may be evicted: %v", err)
	}
	i.Update(t, "steady", func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](1) })
	i.WaitPods(t, "app=steady", func(pods []corev1.Pod) bool { return len(pods) == 1 && podReady(&pods[0]) })
	budget(1, 0)
	if err := evict(); !apierrors.IsTooManyRequests(err) {
		t.Errorf("the last Pod was evicted: %v", err)
	}
}

// examplePort is the port of the machine in the manifest. The machine's ports are
// everybody's: the test takes another one.
const examplePort = "38082"

// examplePorts: a port of the machine leads to the Pod, and to nobody once that is
// gone.
func examplePorts(t *testing.T, i *skifftest.Instance) {
	pod := i.WaitPod(t, "ports", running)
	url := fmt.Sprintf("http://127.0.0.1:%d/", pod.Spec.Containers[0].Ports[0].HostPort)
	eventually(t, url+" is answered by the Pod", func() bool { // whose server begins after the container
		answer, err := http.Get(url)
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		var v view
		return json.NewDecoder(answer.Body).Decode(&v) == nil && v.Environment["HOSTNAME"] == "ports"
	})
	if err := i.Client.CoreV1().Pods(skifftest.Namespace).Delete(t.Context(), "ports", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the port is closed", func() bool {
		answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(url)
		if err == nil {
			answer.Body.Close()
		}
		return err != nil
	})
}
