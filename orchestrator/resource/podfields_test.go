package resource

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestPodFieldTable checks that each line is about a field that there is, can
// be reached through groups, and gives the reason that its warning needs.
func TestPodFieldTable(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	listFields(reflect.TypeFor[corev1.PodSpec](), "", known)
	groups := map[string]bool{}
	for name := range known {
		if i := strings.LastIndex(name, "."); i > 0 {
			groups[strings.TrimSuffix(name[:i], "[]")] = true
		}
	}
	for pattern, line := range podFields {
		base := mapEntry.ReplaceAllString(pattern, "")
		if !known[base] {
			t.Errorf("%s: no such field in a Pod spec", pattern)
		}
		if line.support == honoured && groups[base] {
			t.Errorf("%s: says nothing of its fields, and of those that a later Kubernetes adds", pattern)
		}
		if line.support == ignored && line.why == "" {
			t.Errorf("%s: is ignored without a reason", pattern)
		}
		parts := strings.Split(base, ".")
		for i := range len(parts) - 1 {
			group := strings.TrimSuffix(strings.Join(parts[:i+1], "."), "[]")
			if podFields[group].support != mixed {
				t.Errorf("%s: is never looked at, because %s is not mixed", pattern, group)
			}
		}
	}
}

// mapEntry is the end of a pattern that is about an entry of a map.
var mapEntry = regexp.MustCompile(`\[[^\]]+\]$`)

func listFields(t reflect.Type, pattern string, known map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer:
		listFields(t.Elem(), pattern, known)
	case reflect.Slice:
		listFields(t.Elem(), pattern+"[]", known)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				listFields(f.Type, pattern, known)
				continue
			}
			full := strings.TrimPrefix(pattern+"."+name, ".")
			known[full] = true
			listFields(f.Type, full, known)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	template := func(spec string) string { return "spec: {template: {spec: {" + spec + "}}}" }
	const data = "volumes: [{name: data, hostPath: {path: /srv}}], containers: [{name: c, image: nginx, volumeMounts: [{name: data, mountPath: /data"
	tests := []refusal{
		{"", nil},
		{template("schedulerName: default-scheduler, dnsPolicy: ClusterFirst, priority: 0, preemptionPolicy: PreemptLowerPriority, enableServiceLinks: false"), nil},
		{template("serviceAccountName: default, automountServiceAccountToken: false, nodeSelector: {disk: ssd}, tolerations: [{operator: Exists}]"), nil},
		{template("affinity: {podAffinity: {}, podAntiAffinity: {}, nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {}, preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1}]}}"), []string{
			"spec.template.spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution has no effect: there is one node",
			"spec.template.spec.affinity.podAffinity has no effect: there is one node",
			"spec.template.spec.affinity.podAntiAffinity has no effect: there is one node",
		}},
		{template("topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]"), []string{
			"spec.template.spec.topologySpreadConstraints has no effect: there is one node",
		}},
		{template("serviceAccount: builder"), nil},
		{template("securityContext: {seLinuxOptions: {level: s0}}, initContainers: [{name: i, image: nginx, securityContext: {seLinuxOptions: {type: t}}}], containers: [{name: c, image: nginx, securityContext: {seLinuxOptions: {}}}]"), []string{
			"spec.template.spec.securityContext.seLinuxOptions has no effect unless the container engine uses SELinux",
			"spec.template.spec.initContainers[0].securityContext.seLinuxOptions has no effect unless the container engine uses SELinux",
		}},
		{template("volumes: [{name: d, persistentVolumeClaim: {claimName: c}}], containers: [{name: c, image: nginx, volumeMounts: [{name: d, mountPath: /d}]}]"), []string{
			`spec.template.spec.volumes[0]: claim "c" is written by the old and the new Pods: unless its access mode is ReadWriteMany, an update ends the old Pods before it starts new ones, as with strategy type Recreate`,
		}},
		{template("volumes: [{name: d, persistentVolumeClaim: {claimName: c, readOnly: true}}], containers: [{name: c, image: nginx, volumeMounts: [{name: d, mountPath: /d}]}]"), nil},
		{template("priorityClassName: high, preemptionPolicy: Never"), []string{
			"spec.template.spec.priorityClassName has no effect: Pods do not compete for the node, none is preempted",
			"spec.template.spec.preemptionPolicy has no effect: Pods do not compete for the node, none is preempted",
		}},
		{template("schedulerName: mine, enableServiceLinks: true"), []string{
			"spec.template.spec.schedulerName has no effect: there is one node",
		}},
		{template("containers: [{name: c, image: nginx, resources: {limits: {cpu: 1, memory: 1Gi, ephemeral-storage: 2Gi}, requests: {ephemeral-storage: 1Gi}}, resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]}]"), []string{
			"spec.template.spec.containers[0].resources.limits[ephemeral-storage] has no effect: the local storage that containers use is not limited",
			"spec.template.spec.containers[0].resizePolicy has no effect: Pods are not resized in place",
		}},
		{template("initContainers: [{name: i, image: nginx, resources: {requests: {memory: 500m}}}], containers: [{name: c, image: nginx, resources: {limits: {memory: 1Gi, cpu: 500m}, requests: {memory: 1.5Gi, ephemeral-storage: 100m}}}]"), []string{
			`spec.template.spec.initContainers[0].resources.requests[memory]: fractional byte value "500m" is invalid, must be an integer`,
			`spec.template.spec.containers[0].resources.requests[ephemeral-storage]: fractional byte value "100m" is invalid, must be an integer`,
		}},
		{template("containers: [{name: a, image: nginx, ports: [{containerPort: 80}]}, {name: b, image: nginx, ports: [{containerPort: 80}, {containerPort: 80, protocol: UDP}]}]"), []string{
			"spec.template.spec.containers[1].ports[0]: duplicate port definition with spec.template.spec.containers[0].ports[0]",
		}},
		{template("containers: [{name: a, image: nginx, env: [{name: A, value: a}, {name: A, value: $(A)b}, {name: A, value: c}]}]"), []string{
			`spec.template.spec.containers[0].env[2]: hides previous definition of "A", which may be dropped when using apply`,
		}},
		{template("containers: [{name: a, image: nginx, ports: [{containerPort: 80, name: http}], livenessProbe: {httpGet: {port: http}}, readinessProbe: {tcpSocket: {port: web}}, lifecycle: {preStop: {httpGet: {port: stop}}}}]"), []string{
			`spec.template.spec.containers[0].readinessProbe.tcpSocket.port: the container has no port that is named "web"`,
			`spec.template.spec.containers[0].lifecycle.preStop.httpGet.port: the container has no port that is named "stop"`,
		}},
		{template("initContainers: [{name: i, image: nginx, restartPolicy: Always, lifecycle: {preStop: {tcpSocket: {port: 80}}}}], containers: [{name: c, image: nginx, lifecycle: {postStart: {tcpSocket: {port: 80, host: h}}, preStop: {sleep: {seconds: 1}}}}]"), []string{
			"spec.template.spec.initContainers[0].lifecycle.preStop.tcpSocket: such a hook fails whenever it runs, in Kubernetes as in skiff, and its container ends without it",
			"spec.template.spec.containers[0].lifecycle.postStart.tcpSocket: such a hook fails whenever it runs, in Kubernetes as in skiff, and its container is ended",
		}},
		{template(data + "}]}]"), []string{
			`spec.template.spec.volumes[0]: "data" is mounted by the old and the new Pod at once during a rolling update; a database needs strategy type Recreate`,
		}},
		{template(data + ", readOnly: true}]}]"), nil},
		{"spec: {strategy: {type: Recreate}, template: {spec: {" + data + "}]}]}}}", nil},
		{template("volumes: [{name: s, hostPath: {path: /var/run/docker.sock, type: Socket}}], containers: [{name: c, image: nginx, volumeMounts: [{name: s, mountPath: /s}]}]"), nil},
		{"metadata: {name: a.b}", []string{"metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"}},
		{"spec: {template: {metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/c: unconfined, seccomp.security.alpha.kubernetes.io/pod: runtime/default}}}}", []string{
			"spec.template.metadata.annotations[container.apparmor.security.beta.kubernetes.io/c] has no effect: use the field appArmorProfile instead",
			"spec.template.metadata.annotations[seccomp.security.alpha.kubernetes.io/pod] has no effect: use the field seccompProfile instead, as in Kubernetes since 1.27",
		}},
	}
	for _, test := range tests {
		t.Run(test.patch, func(t *testing.T) {
			t.Parallel()
			d := buildDeployment(t, test.patch)
			if diff := cmp.Diff(test.want, deployment().Warnings(d, nil)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			scaled := d.DeepCopy()
			deployment().SetReplicas(scaled, 9)
			if again := deployment().Warnings(scaled, d); len(again) > 0 {
				t.Errorf("warned again when scaled: %q", again)
			}
		})
	}
}

// What an event tells of is what the warnings say has no effect.
func TestIneffective(t *testing.T) {
	t.Parallel()
	d := buildDeployment(t, "spec: {template: {spec: {schedulerName: mine, affinity: {podAffinity: {}}, "+
		"volumes: [{name: d, persistentVolumeClaim: {claimName: c}}], containers: [{name: c, image: nginx, volumeMounts: [{name: d, mountPath: /d}]}]}}}")
	var want []string
	for _, w := range deployment().Warnings(d, nil) {
		if path, _, ok := strings.Cut(w, " has no effect: "); ok {
			want = append(want, path)
		}
	}
	if diff := cmp.Diff(want, deployment().Ineffective(d, nil)); diff != "" || len(want) != 2 {
		t.Errorf("of %q (-want +got):\n%s", want, diff)
	}
}

func TestIneffectiveMessage(t *testing.T) {
	t.Parallel()
	path := "spec." + strings.Repeat("a", 395)
	for _, test := range []struct {
		paths []string
		want  string
	}{
		{[]string{"a"}, "accepted, and without effect in skiff: a"},
		{[]string{"a", "b"}, "accepted, and without effect in skiff: a, b"},
		{[]string{path, path, path, "b"}, "accepted, and without effect in skiff: " + path + ", " + path + ", and 2 more"},
	} {
		if got := IneffectiveMessage(test.paths); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestWarningsOfPods(t *testing.T) {
	t.Parallel()
	def := pod()
	p := buildPod(t, "spec: {priorityClassName: system-node-critical, tolerations: [{key: gpu, operator: Exists}]}")
	def.PrepareCreate(p)
	want := []string{
		"spec.priorityClassName has no effect: Pods do not compete for the node, none is preempted",
	}
	if diff := cmp.Diff(want, def.Warnings(p, nil)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if got := def.Warnings(p, p); len(got) > 0 {
		t.Errorf("warned at an update: %q", got)
	}
	plain := buildPod(t, "")
	def.PrepareCreate(plain)
	if got := def.Warnings(plain, nil); len(got) > 0 {
		t.Errorf("warned of what the server itself put in: %q", got)
	}
	controller := true
	p.OwnerReferences = []metav1.OwnerReference{{Controller: &controller}}
	rs := &appsv1.ReplicaSet{ObjectMeta: p.ObjectMeta, Spec: appsv1.ReplicaSetSpec{Template: corev1.PodTemplateSpec{Spec: p.Spec}}}
	if got := slices.Concat(def.Warnings(p, nil), replicaSet().Warnings(rs, nil)); len(got) > 0 {
		t.Errorf("warned a controller: %q", got)
	}
}
