package orchestrator_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator"
	"skiff/orchestrator/skifftest"
)

// view is what examples/pods/inside tells of its container.
type view struct {
	UID, GID               int
	Groups                 []int
	Capabilities, Bounding string
	NoNewPrivileges        bool
	Seccomp                string
	ReadOnlyRoot           bool
	OOMScoreAdj            int
	Memory, CPU            string
	PingGroups             string
	Environment            map[string]string
}

// lookInto reads what a container has found, as soon as it has told that.
func lookInto(t *testing.T, i *skifftest.Instance, pod, container string) view {
	t.Helper()
	options := &corev1.PodLogOptions{Container: container, Follow: true}
	log, err := i.Client.CoreV1().Pods(skifftest.Namespace).GetLogs(pod, options).Stream(t.Context())
	if err != nil {
		t.Fatalf("logs of %s: %v", pod, err)
	}
	defer log.Close()
	var v view
	if err := json.NewDecoder(log).Decode(&v); err != nil {
		t.Fatalf("logs of %s: %v", pod, err)
	}
	return v
}

func running(p *corev1.Pod) bool {
	return len(p.Status.ContainerStatuses) > 0 && !slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return !c.Ready })
}

// runningOrPowerless: an engine that does not have all privileges itself cannot
// give them, and then says so for a Pod that asks for all.
func runningOrPowerless(p *corev1.Pod) bool {
	return running(p) || slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		end := cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated)
		return end != nil && end.Reason == "StartError" && strings.Contains(end.Message, "unable to apply caps: operation not permitted")
	})
}

func waitsFor(reason string) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting != nil &&
			p.Status.ContainerStatuses[0].State.Waiting.Reason == reason
	}
}

func unscheduled(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse
	})
}

func failed(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodFailed }

func exampleResources(t *testing.T, i *skifftest.Instance) {
	p := i.WaitPod(t, "resources", running)
	v := lookInto(t, i, "resources", "")
	if v.Memory != "67108864" || v.CPU != "50000 100000" {
		t.Errorf("limits are %s and %s", v.Memory, v.CPU)
	}
	if v.OOMScoreAdj < 990 || v.OOMScoreAdj > 999 { // the more memory the machine has, the nearer to 1000
		t.Errorf("the kernel kills it at %d", v.OOMScoreAdj)
	}
	st := p.Status.ContainerStatuses[0]
	if p.Status.QOSClass != corev1.PodQOSBurstable || st.Resources == nil || st.Resources.Limits.Cpu().String() != "500m" || st.AllocatedResources.Memory().String() != "32Mi" {
		t.Errorf("status is %s, %+v, %+v", p.Status.QOSClass, st.Resources, st.AllocatedResources)
	}
	p = i.WaitPod(t, "whole", running)
	if v := lookInto(t, i, "whole", ""); v.Memory != "67108864" || v.Environment["MEMORY"] != v.Memory || v.CPU != "50000 100000" || p.Status.QOSClass != corev1.PodQOSBurstable {
		t.Errorf("of the Pod as a whole: limits are %s, %s and %s, class %s", v.Memory, v.Environment["MEMORY"], v.CPU, p.Status.QOSClass)
	}
	p = i.WaitPod(t, "greedy", failed)
	if end := p.Status.ContainerStatuses[0].State.Terminated; end == nil || end.Reason != "OOMKilled" || end.ExitCode != 137 {
		t.Errorf("it ended so: %+v", end)
	}
	if p.Status.QOSClass != corev1.PodQOSGuaranteed {
		t.Errorf("class is %s", p.Status.QOSClass)
	}
}

func exampleSecurity(t *testing.T, i *skifftest.Instance) {
	const none, netAdmin, sysAdmin, chown = "0000000000000000", 1 << 12, 1 << 21, 1 << 0
	i.WaitPod(t, "restricted", running)
	v := lookInto(t, i, "restricted", "")
	sameUser(t, i, "restricted", v)
	slices.Sort(v.Groups)
	if v.UID != 10001 || v.GID != 10002 || !slices.Equal(slices.Compact(v.Groups), []int{10002, 10003, 10004}) && !slices.Equal(v.Groups, []int{10003, 10004}) {
		t.Errorf("it runs as %d:%d %v", v.UID, v.GID, v.Groups)
	}
	if v.Capabilities != none || v.Bounding != none || !v.NoNewPrivileges || v.Seccomp != "2" || !v.ReadOnlyRoot {
		t.Errorf("it may do too much: %+v", v)
	}
	if strings.Join(strings.Fields(v.PingGroups), " ") != "0 10002" {
		t.Errorf("the kernel parameter is %q", v.PingGroups)
	}

	i.WaitPod(t, "powers", running)
	v = lookInto(t, i, "powers", "one")
	sameUser(t, i, "powers", v)
	if v.UID != 0 || v.Capabilities != "0000000000000400" || v.NoNewPrivileges || v.Seccomp != "0" || v.ReadOnlyRoot {
		t.Errorf("one: %+v", v)
	}
	v = lookInto(t, i, "powers", "more")
	bits, err := strconv.ParseUint(v.Capabilities, 16, 64)
	if err != nil || bits&netAdmin == 0 || bits&chown == 0 || v.Seccomp != "2" {
		t.Errorf("more: %+v", v)
	}

	if p := i.WaitPod(t, "privileged", runningOrPowerless); running(p) {
		v = lookInto(t, i, "privileged", "")
		if bits, err := strconv.ParseUint(v.Capabilities, 16, 64); err != nil || bits&sysAdmin == 0 || v.Capabilities != v.Bounding || v.Seccomp != "0" || v.NoNewPrivileges {
			t.Errorf("with all privileges: %+v", v)
		}
	}

	p := i.WaitPod(t, "refused", waitsFor("CreateContainerConfigError"))
	want := fmt.Sprintf("container has runAsNonRoot and image will run as root (pod: \"refused_default(%s)\", container: inside)", p.UID)
	if got := p.Status.ContainerStatuses[0].State.Waiting.Message; got != want {
		t.Errorf("message is %q, want %q", got, want)
	}
}

// sameUser compares what the status says of the Pod's first container with what
// that sees itself.
func sameUser(t *testing.T, i *skifftest.Instance, pod string, v view) {
	t.Helper()
	st := i.WaitPod(t, pod, running).Status.ContainerStatuses[0]
	if st.User == nil || st.User.Linux == nil {
		t.Errorf("%s: no user in %+v", pod, st)
		return
	}
	user := st.User.Linux
	seen, told := []int64{user.GID}, append([]int64{int64(v.GID)}, user.SupplementalGroups...)
	for _, group := range v.Groups {
		seen = append(seen, int64(group))
	}
	slices.Sort(seen)
	slices.Sort(told)
	if user.UID != int64(v.UID) || user.GID != int64(v.GID) || !slices.Equal(slices.Compact(seen), slices.Compact(told)) {
		t.Errorf("%s: the status tells %+v, the container sees %d:%d %v", pod, user, v.UID, v.GID, v.Groups)
	}
}

func exampleEnvironment(t *testing.T, i *skifftest.Instance) {
	p := i.WaitPod(t, "environment", running)
	service, err := i.Client.CoreV1().Services(skifftest.Namespace).Get(t.Context(), "shop-db", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	db := service.Spec.ClusterIP
	want := map[string]string{
		"MODE": "very fast", "REGION": "north", "KEY_token": "s3cret", "REGION_COPY": "north", "TOKEN": "s3cret",
		"POD_NAME": "environment", "POD_IP": p.Status.PodIP, "NODE_NAME": "skiff", "APP": "environment", "MEMORY_MB": "64",
		"DATABASE": "postgres://" + db + ":5432", "SHOP_DB_SERVICE_HOST": db, "SHOP_DB_PORT_5432_TCP": "tcp://" + db + ":5432",
		"KUBERNETES_SERVICE_PORT": "443",
	}
	got := lookInto(t, i, "environment", "").Environment
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s is %q, want %q", name, got[name], want[name])
		}
	}
	if got["KUBERNETES_SERVICE_HOST"] == "" {
		t.Error("the API's address is not told")
	}
	i.WaitPod(t, "no-links", running)
	got = lookInto(t, i, "no-links", "").Environment
	if got["SHOP_DB_SERVICE_HOST"] != "" || got["KUBERNETES_SERVICE_HOST"] == "" {
		t.Errorf("without the variables of Services: %v", got)
	}
	onStage(t, i).shows(t, i.WaitPod(t, "no-links", running), "hostname -rw-r--r-- 0:0 no-links\n") // in its working directory
}

func exampleScheduling(t *testing.T, i *skifftest.Instance) {
	i.WaitRollout(t, "spread")
	p := i.WaitPod(t, "nowhere", unscheduled)
	const message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, " +
		"preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
	if c := p.Status.Conditions[0]; c.Reason != "Unschedulable" || c.Message != message || p.Status.Phase != corev1.PodPending {
		t.Errorf("phase %s, condition %+v", p.Status.Phase, c)
	}
	i.WaitEvent(t, "FailedScheduling", message)

	// Whoever labels the node gets the Pod started.
	label := []byte(`{"metadata": {"labels": {"disk": "ssd"}}}`)
	if _, err := i.Client.CoreV1().Nodes().Patch(t.Context(), "skiff", types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	i.WaitPod(t, "nowhere", running)
}

// TestRolloutWaitsForRoom: a rollout for which there is no room says so and goes
// on when there is.
func TestRolloutWaitsForRoom(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t, func(o *orchestrator.Options) { o.CPUs = resource.MustParse("1") })
	d := web(2)
	d.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("400m")}
	i.Deploy(t, d)
	begun := time.Now()
	blocker := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "large"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "inside", Image: "skiff-example/inside:1", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("600m")},
		}}},
	}}
	if _, err := i.Client.CoreV1().Pods(skifftest.Namespace).Create(t.Context(), blocker, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	i.WaitPod(t, "large", unscheduled)
	i.WaitEvent(t, "FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, "+
		"preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.")
	i.Update(t, "web", func(d *appsv1.Deployment) { *d.Spec.Replicas = 1 })
	i.WaitPod(t, "large", running)
	t.Logf("room was found after %s", time.Since(begun).Round(time.Millisecond))
}
