package main_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// TestKubectl uses the real one for what the seed document's session has not.
func TestKubectl(t *testing.T) {
	t.Parallel()
	needKubectl(t)
	i := start(t)
	k := &typist{t, i}
	file := i.write(t, "web.yaml", webManifest(t))
	k.types("apply -f "+file, "deployment.apps/web created\nservice/web created\n")
	k.types("wait --for=condition=available deployment/web --timeout=2m", "deployment.apps/web condition met\n")
	t.Run("looking", func(t *testing.T) { (&typist{t, i}).looks() })
	t.Run("changing", func(t *testing.T) { (&typist{t, i}).changes() })
	t.Run("creating", func(t *testing.T) { (&typist{t, i}).creates() })
	t.Run("talking", func(t *testing.T) { (&typist{t, i}).talks() })
	t.Run("following", func(t *testing.T) { (&typist{t, i}).follows() })
	k.types("delete -f "+file, "deployment.apps \"web\" deleted from default namespace\nservice \"web\" deleted from default namespace\n")
	i.nothingRuns(t)
}

// typist types kubectl's commands.
type typist struct {
	*testing.T
	i *instance
}

// types compares all of what a command prints.
func (k *typist) types(line, want string) {
	k.Helper()
	r := try(k.T, k.i.kubectl, split(line)...)
	if r.code != 0 || r.out != want || r.err != "" {
		k.Errorf("kubectl %s: want %q, got %v", line, want, r)
	}
}

// finds looks for lines in what a command prints.
func (k *typist) finds(line string, want ...string) {
	k.Helper()
	r := try(k.T, k.i.kubectl, split(line)...)
	for _, w := range want {
		if r.code != 0 || !strings.Contains("\n"+spaces.ReplaceAllString(r.out, " "), "\n"+w) {
			k.Errorf("kubectl %s: no line that begins with %q: %v", line, w, r)
		}
	}
}

// split reads a line as a shell does, as far as single quotes go.
func split(line string) []string {
	quoted := false
	words := strings.FieldsFunc(line, func(r rune) bool {
		if r == '\'' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
	for n := range words {
		words[n] = strings.ReplaceAll(words[n], "'", "")
	}
	return words
}

func (k *typist) looks() {
	k.finds("explain deployment.spec.strategy", "KIND: Deployment", "FIELD: strategy <DeploymentStrategy>", " rollingUpdate\t<RollingUpdateDeployment>")
	k.finds("explain pods --recursive", " spec\t<PodSpec>")
	k.finds("api-resources", "pods po v1 true Pod", "deployments deploy apps/v1 true Deployment", "endpointslices discovery.k8s.io/v1 true EndpointSlice")
	k.finds("api-resources -o name --verbs=list,watch --namespaced", "deployments.apps", "events.events.k8s.io")
	k.finds("api-versions", "apps/v1", "v1")
	k.finds("events --for deployment/web", "LAST SEEN TYPE REASON OBJECT MESSAGE")
	k.finds("version", "Client Version: v1.37", "Server Version: v1.37")
	k.finds("cluster-info", "Kubernetes control plane is running at https://127.0.0.1:")
	k.types("get --raw /readyz", "ok")
	k.finds("get --raw /apis/apps/v1/namespaces/default/deployments/web/scale", `{"kind":"Scale","apiVersion":"autoscaling/v1"`)
	k.finds("get deployments.v1.apps,svc,po,rs,ep,endpointslices -A --chunk-size=1", "NAMESPACE NAME")
	k.finds("get deploy web -o jsonpath='{.status.readyReplicas}'", "3")
	k.finds("rollout history deployment/web", "deployment.apps/web", "REVISION CHANGE-CAUSE", "1 <none>")
}

func (k *typist) changes() {
	k.types("label deployment web team=a", "deployment.apps/web labeled\n")
	k.types("annotate deployment web note=b", "deployment.apps/web annotated\n")
	k.types("get deployment web -o jsonpath='{.metadata.labels.team}{.metadata.annotations.note}'", "ab")
	k.types("label deployment web team-", "deployment.apps/web unlabeled\n")
	k.types(`patch deployment web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":1}]'`, "deployment.apps/web patched\n")
	k.types("get deployment web -o jsonpath='{.spec.replicas}'", "1")
	k.types(`patch deployment web --type=merge -p '{"spec":{"replicas":2,"minReadySeconds":null}}'`, "deployment.apps/web patched\n")
	k.types("get deployment web -o jsonpath='{.spec.replicas}'", "2")
	k.types(`patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"EXTRA","value":"c"}]}]}}}}'`, "deployment.apps/web patched\n")
	k.types("get deployment web -o jsonpath='{.spec.template.spec.containers[*].env[*].name}'", "EXTRA RUDE LATENCY")
	k.types(`patch deployment web --subresource=scale --type=merge -p '{"spec":{"replicas":1}}'`, "scale.autoscaling/web patched\n")
	k.types("scale deployment web --replicas=2 --current-replicas=1", "deployment.apps/web scaled\n")
	k.types("set env deployment/web EXTRA=d", "deployment.apps/web env updated\n")
	k.types("set image deployment/web '*=skiff-example/web:2'", "deployment.apps/web image updated\n")
	k.finds("rollout status deployment/web", "deployment \"web\" successfully rolled out")
	if r := try(k.T, k.i.kubectl, "diff", "-f", "web.yaml"); r.code != 1 || !strings.Contains(r.out, "\n-        image: skiff-example/web:2\n+        image: skiff-example/web:1\n") {
		k.Errorf("kubectl diff: %v", r)
	}
	k.types("apply -f web.yaml --dry-run=server", "deployment.apps/web configured (server dry run)\nservice/web unchanged (server dry run)\n")
	k.types("apply -f web.yaml", "deployment.apps/web configured\nservice/web unchanged\n")
	k.finds("rollout status deployment/web", "deployment \"web\" successfully rolled out")
	k.appliesByServer()
	k.startsToApplyByServer()
	k.types("replace -f web.yaml --dry-run=server", "deployment.apps/web replaced (server dry run)\nservice/web replaced (server dry run)\n")
}

// appliesByServer has both programs apply the same manifest, and somebody
// change it in between.
func (k *typist) appliesByServer() {
	const done = "deployment.apps/web serverside-applied\nservice/web serverside-applied\n"
	k.types("apply --server-side -f web.yaml", done)
	if out := must(k.T, k.i.skiff, "apply", "--server-side", "-f", "web.yaml"); out != done {
		k.Errorf("skiff apply --server-side: %q", out)
	}
	k.types("scale deployment web --replicas=4", "deployment.apps/web scaled\n")
	conflict := `conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas`
	for _, program := range []func(context.Context, ...string) *exec.Cmd{k.i.kubectl, k.i.skiff} {
		r := try(k.T, program, "apply", "--server-side", "-f", "web.yaml")
		if r.code != 1 || !strings.Contains(r.err, conflict) || !strings.Contains(r.err, "--force-conflicts") || !strings.Contains(r.out, "service/web serverside-applied") {
			k.Errorf("a conflict: %v", r)
		}
	}
	if out := must(k.T, k.i.skiff, "apply", "--server-side", "--force-conflicts", "-f", "web.yaml"); out != done {
		k.Errorf("skiff apply --server-side --force-conflicts: %q", out)
	}
	k.finds("rollout status deployment/web", "deployment \"web\" successfully rolled out")
	// What comes next replaces what it has read: its status must no longer change.
	k.types("wait deployment/web --for=jsonpath='{.status.replicas}'=3", "deployment.apps/web condition met\n")
	k.types("wait deployment/web --for=jsonpath='{.status.terminatingReplicas}'=0", "deployment.apps/web condition met\n")
	k.types("auth can-i create pods", "yes\n")
	k.finds("auth whoami", "Username skiff-admin")
}

// startsToApplyByServer has each program go on by the server with what was
// applied without it: what the manifest has dropped goes, what others have set
// stays, and so does the way back.
func (k *typist) startsToApplyByServer() {
	const manifest = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: moved}, spec: {selector: {matchLabels: {app: moved}}, " +
		"template: {metadata: {labels: {app: moved}}, spec: {containers: [{name: web, image: skiff-example/web:1, env: [{name: A, value: a}, {name: %s, value: b}]}]}}}}"
	k.i.write(k.T, "before.yaml", fmt.Sprintf(manifest, "B"))
	k.i.write(k.T, "after.yaml", fmt.Sprintf(manifest, "C"))
	for name, program := range map[string]func(context.Context, ...string) *exec.Cmd{"kubectl": k.i.kubectl, "skiff": k.i.skiff} {
		must(k.T, program, "apply", "-f", "before.yaml")
		k.types("scale deployment moved --replicas=0", "deployment.apps/moved scaled\n")
		k.types("label deployment moved team=a", "deployment.apps/moved labeled\n")
		for range 2 {
			if r := try(k.T, program, "apply", "--server-side", "-f", "after.yaml"); r.code != 0 || r.out != "deployment.apps/moved serverside-applied\n" || r.err != "" {
				k.Errorf("%s apply --server-side: %v", name, r)
			}
			k.types("get deployment moved -o jsonpath='{.spec.template.spec.containers[*].env[*].name} {.spec.replicas} {.metadata.labels.team}'", "A C 0 a")
		}
		if r := try(k.T, program, "apply", "-f", "before.yaml"); r.code != 0 || r.out != "deployment.apps/moved configured\n" || r.err != "" {
			k.Errorf("%s apply after that: %v", name, r)
		}
		k.types("get deployment moved -o jsonpath='{.spec.template.spec.containers[*].env[*].name}'", "A B")
		k.types("delete deployment moved", "deployment.apps \"moved\" deleted from default namespace\n")
	}
}

func (k *typist) creates() {
	k.types("create namespace other", "namespace/other created\n")
	k.types("create configmap settings --from-literal=a=b -n other", "configmap/settings created\n")
	k.types("create secret generic password --from-literal=a=b -n other", "secret/password created\n")
	k.types("get secret password -n other -o jsonpath='{.data.a}'", "Yg==")
	k.types("create deployment idle --image=skiff-example/web:1 --replicas=0 -n other", "deployment.apps/idle created\n")
	k.types("create serviceaccount robot -n other", "serviceaccount/robot created\n")
	k.types("expose deployment web --port=80 --target-port=http --name=inside", "service/inside exposed\n")
	k.finds("get service inside", "inside ClusterIP 10.")
	k.finds("get cm,secret,sa,deploy -n other", "configmap/settings 1 ", "secret/password Opaque 1 ", "serviceaccount/default ", "deployment.apps/idle 0/0 ")
	k.types("delete service inside", "service \"inside\" deleted from default namespace\n")
	k.types("delete namespace other", "namespace \"other\" deleted\n")
	r := try(k.T, k.i.kubectl, "get", "deployment", "idle", "-n", "other")
	if r.code != 1 || !strings.Contains(r.err, "not found") {
		k.Errorf("in a namespace that is gone: %v", r)
	}
}

// follows has commands that go on while something happens.
func (k *typist) follows() {
	log := follow(k.T, k.i.kubectl(k.Context(), "logs", "-f", "deployment/web"))
	log.until("version 1 listens on :8080")
	pods := follow(k.T, k.i.kubectl(k.Context(), "get", "pods", "-l", "app=web", "-w", "--no-headers"))
	pods.until("1/1 Running")
	must(k.T, k.i.kubectl, "delete", "pods", "-l", "app=web", "--wait=false")
	pods.until("Terminating")
	pods.until("0/1 Pending")
	pods.until("1/1 Running")
	if err := log.wait(); err != nil {
		k.Errorf("the end of a log that was followed: %v", err)
	}
	k.i.api(k.T).WaitDeployment(k.T, "web", func(d *appsv1.Deployment) bool { return d.Status.ReadyReplicas == *d.Spec.Replicas })
}

// talks has sessions with a Pod's processes.
func (k *typist) talks() {
	k.i.write(k.T, "life.yaml", `{apiVersion: v1, kind: Pod, metadata: {name: life}, spec: {containers: [
		{name: app, image: "skiff-example/life:1"},
		{name: open, image: "skiff-example/life:1", args: [cat], stdin: true},
		{name: listener, image: "skiff-example/life:1", args: [cat], stdin: true, stdinOnce: true}]}}`)
	k.types("apply -f life.yaml", "pod/life created\n")
	k.types("wait --for=condition=ready pod/life --timeout=2m", "pod/life condition met\n")
	k.types("exec life -c app -- life cat /etc/hostname", "life\n")
	if r := try(k.T, k.i.kubectl, "exec", "life", "-c", "app", "--", "life", "exit", "9"); r.code != 9 || !strings.Contains(r.err, "command terminated with exit code 9") {
		k.Errorf("kubectl exec of what fails: %v", r)
	}
	attach := k.i.kubectl(k.Context(), "attach", "-i", "life", "-c", "listener")
	attach.Stdin = strings.NewReader("heard\n")
	if r := finish(k.T, attach); r.code != 0 || r.out != "heard\n" {
		k.Errorf("kubectl attach: %v", r)
	}
	k.i.write(k.T, "there", "and back\n")
	k.types("cp there life:/there -c app", "")
	k.types("exec life -c app -- life cat /there", "and back\n")
	k.types("cp life:/there back -c app", "")
	k.types("debug life --image=skiff-example/life:1 --target=app -c look -q -- life ps", "")
	k.types("wait --for=jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}=0 pod/life --timeout=2m", "pod/life condition met\n")
	k.finds("logs life -c look", "1 /bin/life")
	talksAsKubectl(k.T, k.i)
	completes(k.T, k.i)
	k.types("delete pod life --now", "pod \"life\" deleted from default namespace\n")
}
