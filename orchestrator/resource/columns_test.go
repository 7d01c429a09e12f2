package resource

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

var testNow = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func cells(row []any) string {
	var texts []string
	for _, cell := range row {
		texts = append(texts, fmt.Sprint(cell))
	}
	return strings.Join(texts, " | ")
}

func headings(columns []metav1.TableColumnDefinition) string {
	var texts []string
	for _, c := range columns {
		name := strings.ToUpper(c.Name)
		if c.Priority > 0 {
			name = "(" + name + ")"
		}
		texts = append(texts, name)
	}
	return strings.Join(texts, " | ")
}

func TestHeadings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		def  *Definition
		want string
	}{
		{pod(), "NAME | READY | STATUS | RESTARTS | AGE | (IP) | (NODE) | (NOMINATED NODE) | (READINESS GATES)"},
		{deployment(), "NAME | READY | UP-TO-DATE | AVAILABLE | AGE | (CONTAINERS) | (IMAGES) | (SELECTOR)"},
		{persistentVolumeClaim(), "NAME | STATUS | VOLUME | CAPACITY | ACCESS MODES | STORAGECLASS | VOLUMEATTRIBUTESCLASS | AGE | (VOLUMEMODE)"},
		{persistentVolume(), "NAME | CAPACITY | ACCESS MODES | RECLAIM POLICY | STATUS | CLAIM | STORAGECLASS | VOLUMEATTRIBUTESCLASS | REASON | AGE | (VOLUMEMODE)"},
		{replicaSet(), "NAME | DESIRED | CURRENT | READY | AGE | (CONTAINERS) | (IMAGES) | (SELECTOR)"},
	} {
		if got := headings(test.def.Columns); got != test.want {
			t.Errorf("columns of %s:\n got %s\nwant %s", test.def.Plural, got, test.want)
		}
		for _, c := range test.def.Columns {
			if c.Description == "" || c.Type == "" {
				t.Errorf("column %q of %s has no description or type", c.Name, test.def.Plural)
			}
		}
	}
}

func TestPodStatusCells(t *testing.T) {
	t.Parallel()
	const (
		one     = "spec: {containers: [{name: a}]}\n"
		two     = "spec: {containers: [{name: a}, {name: b}]}\n"
		inits   = "spec: {initContainers: [{name: i}, {name: j}], containers: [{name: a}]}\n"
		sidecar = "spec: {initContainers: [{name: s, restartPolicy: Always}], containers: [{name: a}]}\n"
		running = "state: {running: {}}, ready: true"
	)
	tests := []struct{ name, pod, want string }{
		{"new", one + "status: {phase: Pending}", "0/1 Pending 0"},
		{"creating", one + "status: {phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ContainerCreating}}}]}", "0/1 ContainerCreating 0"},
		{"pull", one + "status: {phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ImagePullBackOff}}}]}", "0/1 ImagePullBackOff 0"},
		{"running", one + "status: {phase: Running, containerStatuses: [{name: a, " + running + "}]}", "1/1 Running 0"},
		{"running, not ready", one + "status: {phase: Running, containerStatuses: [{name: a, state: {running: {}}}]}", "0/1 Running 0"},
		{"restarted", one + "status: {phase: Running, containerStatuses: [{name: a, " + running + ", restartCount: 3, lastState: {terminated: {finishedAt: '2026-07-01T11:55:00Z'}}}]}",
			"1/1 Running 3 (5m ago)"},
		{"restarted, unknown when", one + "status: {phase: Running, containerStatuses: [{name: a, " + running + ", restartCount: 3}]}", "1/1 Running 3"},
		{"crashing", one + "status: {phase: Running, containerStatuses: [{name: a, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {finishedAt: '2026-07-01T11:59:50Z'}}}]}",
			"0/1 CrashLoopBackOff 2 (10s ago)"},
		{"first container speaks", two + "status: {phase: Running, containerStatuses: [{name: a, state: {waiting: {reason: ErrImagePull}}}, {name: b, state: {terminated: {reason: Error}}}]}",
			"0/2 ErrImagePull 0"},
		{"completed", one + "status: {phase: Succeeded, containerStatuses: [{name: a, state: {terminated: {reason: Completed}}}]}", "0/1 Completed 0"},
		{"one completed, Pod ready", two + "status: {phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: a, state: {terminated: {reason: Completed}}}, {name: b, " + running + "}]}",
			"1/2 Running 0"},
		{"one completed, Pod not ready", two + "status: {phase: Running, containerStatuses: [{name: a, state: {terminated: {reason: Completed}}}, {name: b, " + running + "}]}",
			"1/2 NotReady 0"},
		{"killed by a signal", one + "status: {phase: Failed, containerStatuses: [{name: a, state: {terminated: {signal: 9, exitCode: 137}}}]}", "0/1 Signal:9 0"},
		{"exit code", one + "status: {phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 3}}}]}", "0/1 ExitCode:3 0"},
		{"evicted", one + "status: {phase: Failed, reason: Evicted}", "0/1 Evicted 0"},
		{"gated", one + "status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]}", "0/1 SchedulingGated 0"},
		{"terminating", "metadata: {deletionTimestamp: '2026-07-01T12:00:00Z'}\n" + one + "status: {phase: Running, containerStatuses: [{name: a, " + running + "}]}", "1/1 Terminating 0"},
		{"ended, being removed", "metadata: {deletionTimestamp: '2026-07-01T12:00:00Z'}\n" + one + "status: {phase: Succeeded}", "0/1 Succeeded 0"},
		{"node lost", "metadata: {deletionTimestamp: '2026-07-01T12:00:00Z'}\n" + one + "status: {phase: Running, reason: NodeLost}", "0/1 Unknown 0"},
		{"initializing", inits + "status: {phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 0}}, restartCount: 1}, {name: j, state: {running: {}}}]}",
			"0/1 Init:1/2 1"},
		{"init waiting", inits + "status: {phase: Pending, initContainerStatuses: [{name: i, state: {waiting: {reason: PodInitializing}}}]}", "0/1 Init:0/2 0"},
		{"init crashing", inits + "status: {phase: Pending, initContainerStatuses: [{name: i, state: {waiting: {reason: CrashLoopBackOff}}, restartCount: 4}]}",
			"0/1 Init:CrashLoopBackOff 4"},
		{"init failed", inits + "status: {phase: Failed, initContainerStatuses: [{name: i, state: {terminated: {reason: Error, exitCode: 1}}}]}", "0/1 Init:Error 0"},
		{"init exit code", inits + "status: {phase: Failed, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 1}}}]}", "0/1 Init:ExitCode:1 0"},
		{"initialized", inits + "status: {phase: Running, initContainerStatuses: [{name: i, state: {terminated: {}}, restartCount: 5}, {name: j, state: {terminated: {}}}], containerStatuses: [{name: a, " + running + "}]}",
			"1/1 Running 0"},
		{"sidecar", sidecar + "status: {phase: Running, initContainerStatuses: [{name: s, started: true, " + running + ", restartCount: 2}], containerStatuses: [{name: a, " + running + "}]}",
			"2/2 Running 2"},
		{"sidecar crashed", sidecar + "status: {phase: Running, conditions: [{type: Initialized, status: 'True'}], initContainerStatuses: [{name: s, state: {waiting: {reason: CrashLoopBackOff}}, restartCount: 2}], containerStatuses: [{name: a, " + running + "}]}",
			"1/2 Init:CrashLoopBackOff 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := &corev1.Pod{}
			if err := yaml.UnmarshalStrict([]byte(test.pod), p); err != nil {
				t.Fatal(err)
			}
			row := podRowAt(p, testNow)
			if got := fmt.Sprintf("%s %s %s", row[1], row[2], row[3]); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	created := metav1.NewTime(testNow.Add(-(7*time.Hour + 40*time.Minute)))

	p := buildPod(t, "spec: {nodeName: skiff, readinessGates: [{conditionType: a/b}, {conditionType: c/d}]}")
	p.CreationTimestamp = created
	p.Status.PodIPs = []corev1.PodIP{{IP: "10.77.0.5"}}
	p.Status.Conditions = []corev1.PodCondition{{Type: "c/d", Status: corev1.ConditionTrue}}
	p.Status.Phase = corev1.PodPending
	if got, want := cells(podRowAt(p, testNow)), "p | 0/1 | Pending | 0 | 7h40m | 10.77.0.5 | skiff | <none> | 1/2"; got != want {
		t.Errorf("pod:\n got %s\nwant %s", got, want)
	}
	if got, want := cells(podRowAt(&corev1.Pod{}, testNow)), " | 0/0 |  | 0 | <unknown> | <none> | <none> | <none> | <none>"; got != want {
		t.Errorf("empty pod:\n got %s\nwant %s", got, want)
	}

	d := buildDeployment(t, "spec: {replicas: 3, template: {spec: {containers: [{name: a, image: x}, {name: b, image: 'y:1'}]}}}")
	d.CreationTimestamp = created
	d.Status = appsv1.DeploymentStatus{ReadyReplicas: 2, UpdatedReplicas: 1, AvailableReplicas: 2}
	if got, want := cells(deploymentRowAt(d, testNow)), "d | 2/3 | 1 | 2 | 7h40m | a,b | x,y:1 | app=d"; got != want {
		t.Errorf("deployment:\n got %s\nwant %s", got, want)
	}

	rs := build(t, replicaSet(), &appsv1.ReplicaSet{}, soundDeployment, "spec: {replicas: 2}")
	rs.CreationTimestamp = created
	rs.Status = appsv1.ReplicaSetStatus{Replicas: 2, ReadyReplicas: 1}
	if got, want := cells(replicaSetRowAt(rs, testNow)), "d | 2 | 2 | 1 | 7h40m | c | nginx:1.27 | app=d"; got != want {
		t.Errorf("replica set:\n got %s\nwant %s", got, want)
	}
}

func TestStorageRows(t *testing.T) {
	t.Parallel()
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteMany}
	claim := func(volume string, gone bool) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data"}}
		c.Spec = corev1.PersistentVolumeClaimSpec{VolumeName: volume, AccessModes: modes, StorageClassName: ptr.To("standard"),
			VolumeMode: ptr.To(corev1.PersistentVolumeFilesystem), Resources: corev1.VolumeResourceRequirements{Requests: size}}
		c.Status.Phase = corev1.ClaimPending
		if volume != "" {
			c.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: size, AccessModes: modes}
		}
		if gone {
			c.DeletionTimestamp = &metav1.Time{Time: testNow}
		}
		return c
	}
	volume := func(phase corev1.PersistentVolumePhase, policy corev1.PersistentVolumeReclaimPolicy, gone bool) *corev1.PersistentVolume {
		v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pvc-1"}}
		v.Spec = corev1.PersistentVolumeSpec{Capacity: size, AccessModes: modes[:1], PersistentVolumeReclaimPolicy: policy, StorageClassName: "standard",
			VolumeMode: ptr.To(corev1.PersistentVolumeFilesystem), ClaimRef: &corev1.ObjectReference{Namespace: "default", Name: "data"}}
		v.Status.Phase = phase
		if gone {
			v.DeletionTimestamp = &metav1.Time{Time: testNow}
		}
		return v
	}
	for want, row := range map[string][]any{
		"data | Pending |  |  |  | standard | <unset> | <unknown> | Filesystem":                    claimRow(claim("", false)),
		"data | Bound | pvc-1 | 1Gi | RWO,RWX | standard | <unset> | <unknown> | Filesystem":       claimRow(claim("pvc-1", false)),
		"data | Terminating | pvc-1 | 1Gi | RWO,RWX | standard | <unset> | <unknown> | Filesystem": claimRow(claim("pvc-1", true)),
		"pvc-1 | 1Gi | RWX | Delete | Bound | default/data | standard | <unset> |  | <unknown> | Filesystem": volumeRow(
			volume(corev1.VolumeBound, corev1.PersistentVolumeReclaimDelete, false)),
		"pvc-1 | 1Gi | RWX | Retain | Released | default/data | standard | <unset> |  | <unknown> | Filesystem": volumeRow(
			volume(corev1.VolumeReleased, corev1.PersistentVolumeReclaimRetain, false)),
		"pvc-1 | 1Gi | RWX | Delete | Terminating | default/data | standard | <unset> |  | <unknown> | Filesystem": volumeRow(
			volume(corev1.VolumeBound, corev1.PersistentVolumeReclaimDelete, true)),
	} {
		if got := cells(row); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	def := deployment()
	d := buildDeployment(t, "spec: {replicas: 3, selector: {matchLabels: {app: d, tier: web}}}")
	d.UID, d.ResourceVersion = types.UID("u"), "7"
	d.Status.Replicas = 2
	scale := def.Scale(d)
	if scale.Name != "d" || scale.UID != "u" || scale.ResourceVersion != "7" || scale.Spec.Replicas != 3 ||
		scale.Status.Replicas != 2 || scale.Status.Selector != "app=d,tier=web" {
		t.Errorf("scale = %+v", scale)
	}
	def.SetReplicas(d, 5)
	if got := *d.Spec.Replicas; got != 5 {
		t.Errorf("replicas = %d, want 5", got)
	}
}
