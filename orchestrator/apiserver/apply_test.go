package apiserver

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	autoscalingac "k8s.io/client-go/applyconfigurations/autoscaling/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// applied is a Deployment as its authors apply it.
func applied(replicas *int32, containers ...*coreac.ContainerApplyConfiguration) *appsac.DeploymentApplyConfiguration {
	spec := appsac.DeploymentSpec().
		WithSelector(metaac.LabelSelector().WithMatchLabels(map[string]string{"app": "web"})).
		WithTemplate(coreac.PodTemplateSpec().WithLabels(map[string]string{"app": "web"}).
			WithSpec(coreac.PodSpec().WithContainers(containers...)))
	if replicas != nil {
		spec.WithReplicas(*replicas)
	}
	return appsac.Deployment("web", "default").WithSpec(spec)
}

func webContainer(image string, env ...string) *coreac.ContainerApplyConfiguration {
	c := coreac.Container().WithName("web").WithImage(image)
	for _, name := range env {
		c.WithEnv(coreac.EnvVar().WithName(name).WithValue("x"))
	}
	return c
}

func by(manager string) metav1.ApplyOptions { return metav1.ApplyOptions{FieldManager: manager} }

// managersOf lists who has set something, and how.
func managersOf(obj metav1.Object) []string {
	var all []string
	for _, entry := range obj.GetManagedFields() {
		all = append(all, strings.TrimSuffix(fmt.Sprintf("%s %s %s", entry.Manager, entry.Operation, entry.Subresource), " "))
	}
	slices.Sort(all)
	return all
}

func expectManagers(t *testing.T, obj metav1.Object, want ...string) {
	t.Helper()
	if got := managersOf(obj); !slices.Equal(got, want) {
		t.Errorf("fields are managed by %q, want %q", got, want)
	}
}

func envOf(d *appsv1.Deployment) []string {
	var names []string
	for _, e := range d.Spec.Template.Spec.Containers[0].Env {
		names = append(names, e.Name)
	}
	return names
}

// TestApply goes through the life of an object that two applies and others
// write to.
func TestApply(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		clientset := api.typed(t, "application/json")
		client := clientset.AppsV1().Deployments("default")
		three := int32(3)
		must := func(d *appsv1.Deployment, err error) *appsv1.Deployment {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		made := must(client.Apply(t.Context(), applied(&three, webContainer("web:1", "A", "B")), by("author")))
		expectManagers(t, made, "author Apply")
		if made.UID == "" || *made.Spec.Replicas != 3 || !slices.Equal(envOf(made), []string{"A", "B"}) {
			t.Errorf("made %+v", made)
		}
		again := must(client.Apply(t.Context(), applied(&three, webContainer("web:1", "A", "B")), by("author")))
		if again.ResourceVersion != made.ResourceVersion {
			t.Errorf("what is applied again made version %s of %s", again.ResourceVersion, made.ResourceVersion)
		}
		less := must(client.Apply(t.Context(), applied(&three, webContainer("web:2", "A")), by("author")))
		if less.Generation != made.Generation+1 || !slices.Equal(envOf(less), []string{"A"}) || less.Spec.Template.Spec.Containers[0].Image != "web:2" {
			t.Errorf("without B: %+v", less.Spec)
		}

		// Another one's part of the same list stays where it is.
		sidecar := coreac.Container().WithName("side").WithImage("side:1")
		joined := must(client.Apply(t.Context(), appsac.Deployment("web", "default").WithSpec(appsac.DeploymentSpec().WithTemplate(
			coreac.PodTemplateSpec().WithSpec(coreac.PodSpec().WithContainers(sidecar)))), by("mesh")))
		expectManagers(t, joined, "author Apply", "mesh Apply")
		joined = must(client.Apply(t.Context(), applied(&three, webContainer("web:3")), by("author")))
		if n := len(joined.Spec.Template.Spec.Containers); n != 2 || len(envOf(joined)) != 0 {
			t.Errorf("after the author's next: %+v", joined.Spec.Template.Spec.Containers)
		}

		// What somebody else has set to something else is a conflict.
		_, err := client.Apply(t.Context(), applied(&three, webContainer("web:4")), by("thief"))
		if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "author": .spec.template.spec.containers[name="web"].image`) {
			t.Errorf("conflict: %v", err)
		}
		forced := by("thief")
		forced.Force = true
		stolen := must(client.Apply(t.Context(), applied(&three, webContainer("web:4")), forced))
		if stolen.Spec.Template.Spec.Containers[0].Image != "web:4" {
			t.Errorf("by force: %+v", stolen.Spec.Template.Spec.Containers)
		}

		// Other writes are on record, each of its subresource.
		patched := must(client.Patch(t.Context(), "web", types.StrategicMergePatchType,
			[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web:5"}]}}}}`), metav1.PatchOptions{FieldManager: "kubectl-set"}))
		expectManagers(t, patched, "author Apply", "kubectl-set Update", "mesh Apply", "thief Apply")
		if _, err := client.Apply(t.Context(), applied(&three, webContainer("web:4")), by("thief")); !apierrors.IsConflict(err) {
			t.Errorf("the thief's own after a patch: %v", err)
		}
		if _, err := client.UpdateScale(t.Context(), "web", &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}, Spec: autoscalingv1.ScaleSpec{Replicas: 7}}, metav1.UpdateOptions{FieldManager: "scaler"}); err != nil {
			t.Fatal(err)
		}
		scaled := must(client.Get(t.Context(), "web", metav1.GetOptions{}))
		expectManagers(t, scaled, "author Apply", "kubectl-set Update", "mesh Apply", "scaler Update scale", "thief Apply")
		if kept := must(client.Apply(t.Context(), applied(nil, webContainer("web:5")), by("author"))); *kept.Spec.Replicas != 7 {
			t.Errorf("%d replicas after an apply that says nothing of them", *kept.Spec.Replicas)
		}
		nine := autoscalingac.Scale().WithKind("Scale").WithAPIVersion("autoscaling/v1").WithName("web").WithNamespace("default").WithSpec(autoscalingac.ScaleSpec().WithReplicas(9))
		if _, err := client.ApplyScale(t.Context(), "web", nine, by("autoscaler")); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "scaler" with subresource "scale"`) {
			t.Errorf("apply a scale that another has set: %v", err)
		}
		nines := by("autoscaler")
		nines.Force = true
		if scale, err := client.ApplyScale(t.Context(), "web", nine, nines); err != nil || scale.Spec.Replicas != 9 {
			t.Errorf("apply a scale by force: %v, %v", scale, err)
		}
		_, err = client.Patch(t.Context(), "web", types.ApplyYAMLPatchType, []byte("{apiVersion: autoscaling/v1, kind: Scale, spec: {replica: 1}}"), nines.ToPatchOptions(), "scale")
		if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), `unknown field "spec.replica"`) {
			t.Errorf("apply an unknown field of a scale: %v", err)
		}
		scaled = must(client.Get(t.Context(), "web", metav1.GetOptions{}))
		expectManagers(t, scaled, "author Apply", "autoscaler Apply scale", "kubectl-set Update", "mesh Apply", "thief Apply")
		if *scaled.Spec.Replicas != 9 {
			t.Errorf("%d replicas were applied", *scaled.Spec.Replicas)
		}
		if _, err := client.Apply(t.Context(), applied(&three, webContainer("web:5")), by("author")); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "autoscaler" with subresource "scale": .spec.replicas`) {
			t.Errorf("replicas that a scale has set: %v", err)
		}
		status := must(client.ApplyStatus(t.Context(), appsac.Deployment("web", "default").WithStatus(appsac.DeploymentStatus().WithReplicas(5)), by("controller")))
		if status.Status.Replicas != 5 || !slices.Contains(managersOf(status), "controller Apply status") {
			t.Errorf("status %+v, managed by %q", status.Status, managersOf(status))
		}
		if read := must(client.Get(t.Context(), "web", metav1.GetOptions{})); !slices.Equal(managersOf(read), managersOf(status)) {
			t.Errorf("read: managed by %q", managersOf(read))
		}
	})
}

// TestRecord: what comes from outside is on record from the first on, and what is
// not is when somebody applies it.
func TestRecord(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, true)
	client := api.typed(t, "application/json").AppsV1().Deployments("default")
	made, err := client.Create(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, metav1.CreateOptions{FieldManager: "kubectl-create"})
	if err != nil {
		t.Fatal(err)
	}
	expectManagers(t, made, "kubectl-create Update")
	inside, err := kubernetes.NewForConfig(&rest.Config{Host: "https://skiff.invalid", Transport: Transport(api.Server), UserAgent: "controller/1", QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	made.Status.Replicas = 2
	if made, err = inside.AppsV1().Deployments("default").UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	expectManagers(t, made, "controller Update status", "kubectl-create Update")
	unread, err := inside.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("c", "a", "1"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expectManagers(t, unread)
}

// TestApplyToWhatWasMadeOtherwise: the record begins with the first apply.
func TestApplyToWhatWasMadeOtherwise(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	client := api.proto(t).CoreV1().ConfigMaps("default")
	made, err := client.Create(t.Context(), configMap("c", "a", "1", "b", "2"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expectManagers(t, made)
	mine := coreac.ConfigMap("c", "default").WithData(map[string]string{"a": "2"})
	if _, err := client.Apply(t.Context(), mine, by("me")); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "before-first-apply") {
		t.Errorf("conflict with what was there: %v", err)
	}
	got, err := client.Apply(t.Context(), mine, metav1.ApplyOptions{FieldManager: "me", Force: true})
	if err != nil || got.Data["a"] != "2" || got.Data["b"] != "2" {
		t.Fatalf("by force: %+v, %v", got, err)
	}
	expectManagers(t, got, "before-first-apply Update", "me Apply")
	got.ManagedFields = []metav1.ManagedFieldsEntry{{}} // as kubectl's users forget all managers
	if got, err = client.Update(t.Context(), got, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(managersOf(got), "me Apply") {
		t.Errorf("after the reset: %q", managersOf(got))
	}
}

// TestApplyRefuses what is wrong, and makes nothing of it.
func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	const path, head = "/apis/apps/v1/namespaces/default/deployments/web", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
	for name, test := range map[string]struct {
		query, body string
		code        int
		says        string
	}{
		"nobody's":            {"", head, 422, "fieldManager"},
		"no YAML":             {"?fieldManager=me", "a: [", 400, "error decoding YAML"},
		"nothing":             {"?fieldManager=me", "", 400, "it is empty"},
		"a list":              {"?fieldManager=me", "[]", 400, "error decoding YAML"},
		"of another kind":     {"?fieldManager=me", "apiVersion: v1\nkind: Pod\n", 400, `expected "apps/v1" and "Deployment"`},
		"of another name":     {"?fieldManager=me", strings.Replace(head, "web", "other", 1), 400, "does not match the name on the URL"},
		"of another place":    {"?fieldManager=me", strings.Replace(head, "name: web", "name: web, namespace: x", 1), 400, "does not match the namespace"},
		"unknown field":       {"?fieldManager=me", head + "spec: {replica: 3}\n", 400, ".spec.replica: field not declared in schema"},
		"wrong type":          {"?fieldManager=me", head + "spec: {replicas: many}\n", 400, ".spec.replicas"},
		"twice":               {"?fieldManager=me&fieldValidation=Strict", head + "spec: {replicas: 1, replicas: 2}\n", 400, `key "replicas" already set in map`},
		"one container twice": {"?fieldManager=me", head + "spec: {template: {spec: {containers: [{name: a}, {name: a}]}}}\n", 400, "duplicate entries"},
		"invalid":             {"?fieldManager=me", head + "spec: {replicas: -1}\n", 422, "spec.replicas"},
		"managed fields":      {"?fieldManager=me", strings.Replace(head, "name: web", "name: web, managedFields: [{manager: me}]", 1), 400, "metadata.managedFields must be nil"},
		"of an earlier one":   {"?fieldManager=me", strings.Replace(head, "name: web", "name: web, uid: abc", 1), 409, "does not exist"},
		"an alias bomb":       {"?fieldManager=me", bomb(), 400, "error decoding YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := api.do(t, http.MethodPatch, path+test.query, test.body, "Content-Type", string(types.ApplyYAMLPatchType))
			if res.StatusCode != test.code || !strings.Contains(body, strings.ReplaceAll(test.says, `"`, `\"`)) {
				t.Errorf("%d %s, want %d and %q", res.StatusCode, body, test.code, test.says)
			}
		})
	}
	if _, err := api.proto(t).AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("made all the same: %v", err)
	}
	res, _ := api.do(t, http.MethodPatch, path+"?fieldManager=me&dryRun=All", head+"spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: b}]}}}\n", "Content-Type", string(types.ApplyYAMLPatchType))
	if res.StatusCode != http.StatusCreated {
		t.Errorf("dry run: %d", res.StatusCode)
	}
	if _, err := api.proto(t).AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("made by a dry run: %v", err)
	}
}

func bomb() string {
	text := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for n := range 9 {
		text += fmt.Sprintf("a%d: &a%d [%s]\n", n+1, n+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", n), 10), ","))
	}
	return text
}

// TestApplyAtOnce: of those who apply a new object at the same time one makes
// it, and all have their part of it.
func TestApplyAtOnce(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	const many = 8
	errs := make(chan error, many)
	apply := func(client kubernetes.Interface, n int) {
		name := fmt.Sprint("m", n)
		_, err := client.CoreV1().ConfigMaps("default").Apply(t.Context(), coreac.ConfigMap("c", "default").WithData(map[string]string{name: name}), by(name))
		errs <- err
	}
	for n := range many {
		go apply(api.proto(t), n)
	}
	for range many {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	got, err := api.proto(t).CoreV1().ConfigMaps("default").Get(t.Context(), "c", metav1.GetOptions{})
	if err != nil || len(got.Data) != many || len(got.ManagedFields) != many {
		t.Errorf("data %v, managed by %q, %v", got.Data, managersOf(got), err)
	}
}
