package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"skiff/orchestrator/apiserver"
	"skiff/orchestrator/resource"
	"skiff/orchestrator/service/allocation"
	"skiff/orchestrator/store"
)

// cluster is the API alone, with no controller behind it: what the commands do
// to it stays as they did it.
type cluster struct {
	kubeconfig string
	dir        string
	client     kubernetes.Interface
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	server := apiserver.New(apiserver.Options{
		Store: db, Log: slog.New(slog.DiscardHandler), Version: "test",
		Resources: resource.All(resource.Options{Services: allocation.Ranges{ClusterIPs: netip.MustParsePrefix("10.96.0.0/16")}}),
	})
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, run := range []func(context.Context) error{db.Run, server.Run} {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx) }()
		t.Cleanup(func() { cancel(); <-ended })
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	t.Cleanup(listener.CloseClientConnections)
	c := &cluster{dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig")}
	c.write(t, "kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: %q}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
users: [{name: test, user: {}}]
`, listener.URL))
	if c.client, err = kubernetes.NewForConfig(&rest.Config{Host: listener.URL, QPS: -1}); err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := c.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// result is what a command printed; the test's directory is cut out of it.
type result struct {
	Out, Err string
	Code     int
}

func (c *cluster) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: &out, ErrOut: &errOut}
	code := run(t.Context(), append([]string{"skiff", "--kubeconfig", c.kubeconfig}, args...), streams)
	cut := func(b bytes.Buffer) string { return strings.ReplaceAll(b.String(), c.dir+"/", "") }
	return result{cut(out), cut(errOut), code}
}

const webAndService = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:1
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80}]
`

// TestCommands plays one story, each step on what the ones before it left.
func TestCommands(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	file := c.write(t, "web.yaml", webAndService)
	changed := c.write(t, "changed.yaml", strings.Replace(webAndService, "replicas: 2", "replicas: 5", 1))
	immutable := c.write(t, "immutable.yaml", strings.ReplaceAll(webAndService, "app: web", "app: other"))
	const job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\n"
	unknown := c.write(t, "unknown.yaml", job)
	const noJob = ":2: kind: no matches for kind \"Job\" in version \"batch/v1\"\n"
	old := c.write(t, "old.yaml", "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: x}\n")
	empty := c.write(t, "empty.yaml", "apiVersion: v1\nkind: List\nitems: []\n")
	partly := c.write(t, "partly.yaml", job+"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: rest}\n")
	unread := c.write(t, "unread.yaml", job+"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: rest, nam: rest}\n")
	warned := c.write(t, "warned.yaml", strings.Replace(strings.ReplaceAll(webAndService, "name: web", "name: aside"), "      containers:", "      hostIPC: false\n      schedulerName: other\n      containers:", 1))
	const notApplied = "Warning: resource %s/web is missing the kubectl.kubernetes.io/last-applied-configuration annotation which is required by skiff apply. " +
		"skiff apply should only be used on resources created declaratively by either skiff create --save-config or skiff apply. The missing annotation will be patched automatically.\n"
	const deprecated = "Flag --record has been deprecated, --record will be removed in the future\n"

	for _, step := range []struct {
		args string
		want result
	}{
		{"create -f " + file + " --record", result{"deployment.apps/web created\nservice/web created\n", deprecated, 0}},
		{"create -f " + file, result{"", "web.yaml:3: metadata.name: Error from server (AlreadyExists): deployments.apps \"web\" already exists\n" +
			"web.yaml:16: metadata.name: Error from server (AlreadyExists): services \"web\" already exists\n", 1}},
		{"get -f " + file + " -o name", result{"deployment.apps/web\nservice/web\n", "", 0}},
		{"get deployment web -o jsonpath={.metadata.annotations.kubernetes\\.io/change-cause}", result{"skiff create --kubeconfig=kubeconfig --filename=web.yaml --record=true", "", 0}},
		{"get deploy/web --no-headers -o custom-columns=N:.metadata.name,R:.spec.replicas", result{"web   2\n", "", 0}},
		{"get pods", result{"", "No resources found in default namespace.\n", 0}},
		{"get pods -A", result{"", "No resources found\n", 0}},
		{"get deployment x", result{"", "Error from server (NotFound): deployments.apps \"x\" not found\n", 1}},
		{"get deployment x --ignore-not-found", result{"", "", 0}},
		{"get gadgets", result{"", "error: the server doesn't have a resource type \"gadgets\"\n", 1}},
		{"get pods -o fancy", result{"", "error: unable to match a printer suitable for the output format \"fancy\", allowed formats are: json, yaml, name, jsonpath, jsonpath-as-json, jsonpath-file\n", 1}},
		{"up --cpus none", result{"", "error: --cpus none: not a quantity above zero such as 4, 1500m or 8Gi\nSee 'skiff up --help' for usage.\n", 1}},
		{"get", result{"", "error: you must specify the type of resource to get: pods, deployments, services, all …\nSee 'skiff get --help' for usage.\n", 1}},
		{"apply -f " + file, result{"deployment.apps/web configured\nservice/web configured\n",
			fmt.Sprintf(notApplied, "deployments") + fmt.Sprintf(notApplied, "services"), 0}},
		{"apply -f " + file, result{"deployment.apps/web unchanged\nservice/web unchanged\n", "", 0}},
		{"apply -f " + changed, result{"deployment.apps/web configured\nservice/web unchanged\n", "", 0}},
		{"get deployment web -o jsonpath={.spec.replicas}", result{"5", "", 0}},
		{"apply -f " + immutable, result{"service/web configured\n", "immutable.yaml:6: spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"other\"}}: field is immutable\n", 1}},
		{"apply -f " + unknown, result{"", "unknown.yaml" + noJob, 1}},
		{"apply -f " + old, result{"", "old.yaml:2: kind: no matches for kind \"Deployment\" in version \"extensions/v1beta1\"; it is served as apiVersion: apps/v1\n", 1}},
		{"delete -f " + unknown, result{"", "unknown.yaml" + noJob, 1}},
		{"create -f " + partly, result{"configmap/rest created\n", "partly.yaml" + noJob, 1}},
		{"delete -f " + partly, result{"configmap \"rest\" deleted from default namespace\n", "partly.yaml" + noJob, 1}},
		{"apply -f " + partly, result{"configmap/rest created\n", "partly.yaml" + noJob, 1}},
		{"apply -f " + partly, result{"configmap/rest unchanged\n", "partly.yaml" + noJob, 1}},
		{"get -f " + partly + " -o name", result{"configmap/rest\n", "partly.yaml" + noJob, 1}},
		{"get -f " + unknown, result{"", "unknown.yaml" + noJob, 1}},
		{"get -f " + empty, result{"", "error: no objects passed to get\n", 1}},
		{"apply -f " + empty, result{"", "error: no objects passed to apply\n", 1}},
		{"rollout status -f " + empty, result{"", "error: no objects passed to status\n", 1}},
		{"get -w -f " + partly, result{"", "partly.yaml" + noJob, 1}},
		{"describe -f " + unknown, result{"", "unknown.yaml" + noJob, 1}},
		{"delete configmap rest", result{"configmap \"rest\" deleted from default namespace\n", "", 0}},
		{"apply -f " + unread, result{"", "unread.yaml:7: metadata.nam: unknown field \"nam\" (did you mean \"name\"?)\n", 1}},
		{"get configmap rest --ignore-not-found", result{"", "", 0}},
		{"apply", result{"", "error: must specify -f FILE\nSee 'skiff apply --help' for usage.\n", 1}},
		{"set image -f " + file + " web=web:2", result{"deployment.apps/web image updated\n", "", 0}},
		{"set image deployment/web web=web:2", result{"", "", 0}},
		{"set image deployment web other=web:2", result{"", "error: unable to find container named \"other\"\n", 1}},
		{"set image deployment/web", result{"", "error: at least one image update is required\nSee 'skiff set image --help' for usage.\n", 1}},
		{"scale -f " + file + " --replicas=3", result{"deployment.apps/web scaled\n", "", 0}},
		{"scale deployment web --replicas=4 --current-replicas=1", result{"", "error: Expected replicas to be 1, was 3\n", 1}},
		{"rollout pause deployment/web", result{"deployment.apps/web paused\n", "", 0}},
		{"rollout pause deployment/web", result{"", "error: deployments.apps \"web\" is already paused\n", 1}},
		{"rollout undo -f " + changed, result{"", "Warning: resource deployments/web was previously managed with 'skiff apply'. Rolling back will not update the kubectl.kubernetes.io/last-applied-configuration annotation, " +
			"which may cause unexpected behavior on future 'skiff apply' operations. Consider using 'skiff apply' with your previous configuration file instead.\n" +
			"error: you cannot rollback a paused deployment; resume it first with 'skiff rollout resume' and try again\n", 1}},
		{"rollout resume deployment/web", result{"deployment.apps/web resumed\n", "", 0}},
		{"rollout restart deployment/web", result{"deployment.apps/web restarted\n", "", 0}},
		{"rollout history deployment/web", result{"deployment.apps/web \nNo rollout history found.\n", "", 0}},
		{"rollout status service/web", result{"", "error: no status viewer has been implemented for Service\n", 1}},
		{"rollout status deployment/web --watch=false", result{"Waiting for deployment spec update to be observed...\n", "", 0}},
		{"scale deployment web --replicas=abc", result{"", "error: --replicas abc: expected a whole number\nSee 'skiff scale --help' for usage.\n", 1}},
		{"delete deployment web --timeout=1", result{"", "error: --timeout 1: expected a duration such as 30s or 5m\nSee 'skiff delete --help' for usage.\n", 1}},
		{"get pods --watch=x", result{"", "error: --watch x: expected true or false\nSee 'skiff get --help' for usage.\n", 1}},
		{"get pods --context nope", result{"", "error: context was not found for specified context: nope\n", 1}},
		{"delete service/web deployment/web", result{"service \"web\" deleted from default namespace\ndeployment.apps \"web\" deleted from default namespace\n", "", 0}},
		{"delete -f " + file, result{"", "Error from server (NotFound): deployments.apps \"web\" not found\nError from server (NotFound): services \"web\" not found\n", 1}},
		{"delete -f " + file + " --ignore-not-found", result{"", "", 0}},
		{"delete pods --all", result{"No resources found\n", "", 0}},
		{"delete pod x --now --grace-period=3", result{"", "error: --now and --grace-period cannot be specified together\n", 1}},
		{"create -f " + warned, result{"deployment.apps/aside created\nservice/aside created\n", "", 0}},
	} {
		got := c.run(t, "", strings.Fields(step.args)...)
		got.Err = strings.ReplaceAll(got.Err, c.dir+"/", "")
		if strings.HasPrefix(step.args, "create -f "+warned) {
			if !strings.Contains(got.Err, "(warned.yaml:11)\n") || !strings.HasPrefix(got.Err, "Warning: spec.template.spec.schedulerName") {
				t.Errorf("%s: the warning has no line: %q", step.args, got.Err)
			}
			got.Err = ""
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("skiff %s (-want +got):\n%s", strings.ReplaceAll(step.args, c.dir+"/", ""), diff)
		}
	}
}

func TestStandardInput(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	if got, want := c.run(t, webAndService, "create", "-f", "-"), (result{"deployment.apps/web created\nservice/web created\n", "", 0}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	bad := strings.Replace(webAndService, "replicas", "replica", 1)
	if got, want := c.run(t, bad, "apply", "-f", "-"), (result{"", "stdin:5: spec.replica: unknown field \"replica\" (did you mean \"replicas\"?)\n", 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := c.run(t, "", "get", "deployment", "web"); !strings.HasPrefix(got.Out, "NAME   READY   UP-TO-DATE   AVAILABLE   AGE\nweb    0/2     0            0           ") {
		t.Errorf("table: %+v", got)
	}
	if got := c.run(t, "", "get", "deploy,svc"); !strings.HasPrefix(got.Out, "NAME                  READY ") || !strings.Contains(got.Out, "\n\nNAME          TYPE ") {
		t.Errorf("two tables: %+v", got)
	}
	if got := c.run(t, webAndService, "describe", "-f", "-"); !strings.HasPrefix(got.Out, "Name:                   web\n") || !strings.Contains(got.Out, "\n\nName:                     web\n") {
		t.Errorf("descriptions: %+v", got)
	}
}

// TestDescribesWhatIsServed: a kind that the server does not have keeps only its
// own document out.
func TestDescribesWhatIsServed(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.run(t, webAndService, "create", "-f", "-")
	got := c.run(t, webAndService+"---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\n", "describe", "-f", "-")
	if got.Code != 1 || !strings.HasPrefix(got.Out, "Name:                   web\n") || got.Err != "stdin:22: kind: no matches for kind \"Job\" in version \"batch/v1\"\n" {
		t.Errorf("got %+v", got)
	}
}

// TestNamespaces: what the command line and what the manifest say must agree.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	file := c.write(t, "ns.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: other}\n")
	if got := c.run(t, "", "create", "-f", file, "-n", "default"); got.Code != 1 || !strings.Contains(got.Err, "does not match") {
		t.Errorf("namespaces that differ: %+v", got)
	}
	if got, want := c.run(t, "", "create", "-f", file), (result{"", "ns.yaml:1: Error from server (NotFound): namespaces \"other\" not found\n", 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
