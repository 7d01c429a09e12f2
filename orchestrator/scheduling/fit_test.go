package scheduling

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// machine is a node of 2 processors, 1 Gi and 3 Pods.
func machine(change ...func(*corev1.Node)) *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "skiff", Labels: map[string]string{
			"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "skiff",
		}},
		Status: corev1.NodeStatus{Allocatable: list("cpu", "2", "memory", "1Gi", "pods", "3", "ephemeral-storage", "10Gi")},
	}
	for _, c := range change {
		c(node)
	}
	return node
}

func list(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

// asking is a Pod that requests resources.
func asking(pairs ...string) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{
		{Name: "app", Resources: corev1.ResourceRequirements{Requests: list(pairs...)}},
	}}}
}

func with(pod *corev1.Pod, change func(*corev1.PodSpec)) *corev1.Pod {
	change(&pod.Spec)
	return pod
}

func cordoned(n *corev1.Node) { n.Spec.Unschedulable = true }

func withTaint(effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "gpu", Value: "yes", Effect: effect})
	}
}

func tolerating(t corev1.Toleration) *corev1.Pod {
	return with(asking(), func(s *corev1.PodSpec) { s.Tolerations = []corev1.Toleration{t} })
}

func selecting(key, value string) *corev1.Pod {
	return with(asking(), func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{key: value} })
}

func requiring(operator corev1.NodeSelectorOperator, key string, values ...string) *corev1.Pod {
	return with(asking(), func(s *corev1.PodSpec) {
		s.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
				{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: operator, Values: values}}},
			}},
		}}
	})
}

func onPort(ip string, number int32) *corev1.Pod {
	return with(asking(), func(s *corev1.PodSpec) {
		s.Containers[0].Ports = []corev1.ContainerPort{{HostIP: ip, HostPort: number, ContainerPort: 80, Protocol: corev1.ProtocolTCP}}
	})
}

func claiming(namespace, name string) *corev1.Pod {
	pod := with(asking(), func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		}}}
	})
	pod.Namespace = namespace
	return pod
}

func TestFit(t *testing.T) {
	t.Parallel()
	apart := with(asking(), func(s *corev1.PodSpec) {
		s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				LabelSelector: &metav1.LabelSelector{}, TopologyKey: "kubernetes.io/hostname",
			}},
		}}
	})
	initial := with(asking("cpu", "500m"), func(s *corev1.PodSpec) {
		s.InitContainers = []corev1.Container{{Name: "init", Resources: corev1.ResourceRequirements{Requests: list("cpu", "2")}}}
	})
	tests := []struct {
		name   string
		pod    *corev1.Pod
		node   *corev1.Node
		others []*corev1.Pod
		alone  []string
		want   Refusal
	}{
		{name: "no wishes", pod: asking(), node: machine()},
		{name: "exactly what is left", pod: asking("cpu", "500m", "memory", "256Mi"), node: machine(),
			others: []*corev1.Pod{asking("cpu", "1", "memory", "512Mi"), asking("cpu", "500m", "memory", "256Mi")}},
		{name: "one thousandth too much", pod: asking("cpu", "501m"), node: machine(),
			others: []*corev1.Pod{asking("cpu", "1500m")}, want: Refusal{Reasons: []string{"Insufficient cpu"}}},
		{name: "more than the node has", pod: asking("cpu", "3"), node: machine(),
			want: Refusal{Reasons: []string{"Insufficient cpu"}, Final: true}},
		{name: "everything is short", pod: asking("cpu", "1", "memory", "1Gi", "ephemeral-storage", "1Gi"), node: machine(),
			others: []*corev1.Pod{asking("cpu", "1500m"), asking("memory", "1"), asking("ephemeral-storage", "10Gi")},
			want: Refusal{Reasons: []string{
				"Insufficient cpu", "Insufficient ephemeral-storage", "Insufficient memory", "Too many pods"}}},
		{name: "full of Pods without wishes", pod: asking(), node: machine(),
			others: []*corev1.Pod{asking(), asking(), asking()}, want: Refusal{Reasons: []string{"Too many pods"}}},
		{name: "an init container asks for more than the rest", pod: initial, node: machine(),
			others: []*corev1.Pod{asking("cpu", "100m")}, want: Refusal{Reasons: []string{"Insufficient cpu"}}},
		{name: "no request where there is nothing left", pod: asking("cpu", "0"), node: machine(),
			others: []*corev1.Pod{asking("cpu", "2")}},
		{name: "limits do not count", pod: with(asking(), func(s *corev1.PodSpec) { s.Containers[0].Resources.Limits = list("cpu", "64") }), node: machine()},

		{name: "cordoned", pod: asking(), node: machine(cordoned), want: final("node(s) were unschedulable")},
		{name: "cordoned, tolerated", node: machine(cordoned),
			pod: tolerating(corev1.Toleration{Key: "node.kubernetes.io/unschedulable", Operator: corev1.TolerationOpExists})},
		{name: "cordon comes before resources", pod: asking("cpu", "3"), node: machine(cordoned), want: final("node(s) were unschedulable")},
		{name: "taint NoSchedule", pod: asking(), node: machine(withTaint(corev1.TaintEffectNoSchedule)), want: final("node(s) had untolerated taint(s)")},
		{name: "taint NoExecute", pod: asking(), node: machine(withTaint(corev1.TaintEffectNoExecute)), want: final("node(s) had untolerated taint(s)")},
		{name: "taint PreferNoSchedule", pod: asking(), node: machine(withTaint(corev1.TaintEffectPreferNoSchedule))},
		{name: "taint tolerated", node: machine(withTaint(corev1.TaintEffectNoSchedule)),
			pod: tolerating(corev1.Toleration{Key: "gpu", Value: "yes", Effect: corev1.TaintEffectNoSchedule})},
		{name: "taint of another value", node: machine(withTaint(corev1.TaintEffectNoSchedule)),
			pod: tolerating(corev1.Toleration{Key: "gpu", Value: "no"}), want: final("node(s) had untolerated taint(s)")},

		{name: "selector matches", pod: selecting("kubernetes.io/os", "linux"), node: machine()},
		{name: "selector does not match", pod: selecting("kubernetes.io/os", "windows"), node: machine(), want: final(noMatch)},
		{name: "selector of a label that is not there", pod: selecting("disk", "ssd"), node: machine(), want: final(noMatch)},
		{name: "affinity matches", pod: requiring(corev1.NodeSelectorOpIn, "kubernetes.io/arch", "arm64", "amd64"), node: machine()},
		{name: "affinity does not match", pod: requiring(corev1.NodeSelectorOpNotIn, "kubernetes.io/arch", "amd64"), node: machine(), want: final(noMatch)},
		{name: "affinity that cannot be read", pod: requiring(corev1.NodeSelectorOpGt, "kubernetes.io/arch", "x"), node: machine(), want: final(noMatch)},
		{name: "Pods that keep apart share the only node", pod: apart, node: machine(), others: []*corev1.Pod{apart}},

		{name: "port is free", pod: onPort("", 80), node: machine(), others: []*corev1.Pod{onPort("", 81)}},
		{name: "port is taken", pod: onPort("", 80), node: machine(), others: []*corev1.Pod{onPort("10.0.0.1", 80)}, want: Refusal{Reasons: []string{noPorts}}},
		{name: "port of another address", pod: onPort("10.0.0.2", 80), node: machine(), others: []*corev1.Pod{onPort("10.0.0.1", 80)}},

		{name: "claim for one Pod", pod: claiming("a", "data"), node: machine(), alone: []string{"data"},
			others: []*corev1.Pod{claiming("a", "other"), claiming("b", "data")}},
		{name: "claim for one Pod is taken", pod: claiming("a", "data"), node: machine(), alone: []string{"data"},
			others: []*corev1.Pod{claiming("a", "data")}, want: Refusal{Reasons: []string{claimTaken}}},
		{name: "claim for many Pods", pod: claiming("a", "data"), node: machine(), others: []*corev1.Pod{claiming("a", "data")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Fit(tt.pod, tt.node, tt.others, tt.alone)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusalMessage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		refusal Refusal
		want    string
	}{
		{Refusal{Reasons: []string{"Insufficient cpu", "Insufficient memory"}},
			"0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. no new claims to deallocate, " +
				"preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."},
		{final(noMatch),
			"0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, " +
				"preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."},
	}
	for _, tt := range tests {
		if got := tt.refusal.Message(); got != tt.want {
			t.Errorf("message is %q, want %q", got, tt.want)
		}
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		pod    *corev1.Pod
		node   *corev1.Node
		others []*corev1.Pod
		want   *Rejection
	}{
		{name: "fits", pod: asking("cpu", "1"), node: machine()},
		{name: "cordon and taints are the scheduler's", pod: asking(), node: machine(cordoned, withTaint(corev1.TaintEffectNoSchedule))},
		{name: "processor", pod: asking("cpu", "1"), node: machine(), others: []*corev1.Pod{asking("cpu", "1500m")},
			want: &Rejection{"OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000"}},
		{name: "memory", pod: asking("memory", "2Gi"), node: machine(),
			want: &Rejection{"OutOfmemory", "Pod was rejected: Node didn't have enough resource: memory, requested: 2147483648, used: 0, capacity: 1073741824"}},
		{name: "Pods", pod: asking(), node: machine(), others: []*corev1.Pod{asking(), asking(), asking()},
			want: &Rejection{"OutOfpods", "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"}},
		{name: "selector", pod: selecting("disk", "ssd"), node: machine(),
			want: &Rejection{"NodeAffinity", "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"}},
		{name: "port", pod: onPort("", 80), node: machine(), others: []*corev1.Pod{onPort("", 80)},
			want: &Rejection{"NodePorts", "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Admit(tt.pod, tt.node, tt.others)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
