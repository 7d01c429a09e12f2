package node

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"skiff/runtime/container"
)

func quantities(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const memory = 8 << 30
	tests := []struct {
		name             string
		requests, limits corev1.ResourceList
		whole            *corev1.ResourceRequirements // the Pod's
		beside           []corev1.Container
		want             container.Resources
	}{
		{name: "nothing", want: container.Resources{CPUShares: 2, OOMScoreAdj: 1000}},
		{name: "request of processor", requests: quantities("cpu", "250m"), want: container.Resources{CPUShares: 256, OOMScoreAdj: 999}},
		{name: "a limit is a request, too", limits: quantities("cpu", "1500m"),
			want: container.Resources{CPUShares: 1536, CPUQuota: 150_000, CPUPeriod: 100_000, OOMScoreAdj: 999}},
		{name: "more than any machine", limits: quantities("cpu", "300"),
			want: container.Resources{CPUShares: 262144, CPUQuota: 30_000_000, CPUPeriod: 100_000, OOMScoreAdj: 999}},
		{name: "less than the kernel counts", requests: quantities("cpu", "1m"), limits: quantities("cpu", "1m"),
			want: container.Resources{CPUShares: 2, CPUQuota: 1000, CPUPeriod: 100_000, OOMScoreAdj: 999}},
		{name: "a quarter of the memory", requests: quantities("memory", "2Gi"), limits: quantities("memory", "3Gi"),
			want: container.Resources{CPUShares: 2, Memory: 3 << 30, OOMScoreAdj: 750}},
		{name: "all of the memory", requests: quantities("memory", "8Gi"), want: container.Resources{CPUShares: 2, OOMScoreAdj: 3}},
		{name: "guaranteed", requests: quantities("cpu", "1", "memory", "1Gi"), limits: quantities("cpu", "1", "memory", "1Gi"),
			want: container.Resources{CPUShares: 1024, CPUQuota: 100_000, CPUPeriod: 100_000, Memory: 1 << 30}},
		{name: "of the Pod as a whole", whole: &corev1.ResourceRequirements{Requests: quantities("cpu", "500m", "memory", "1Gi"), Limits: quantities("cpu", "1", "memory", "2Gi")},
			want: container.Resources{CPUShares: 512, CPUQuota: 100_000, CPUPeriod: 100_000, Memory: 2 << 30, OOMScoreAdj: 875}},
		{name: "its own before the Pod's", requests: quantities("cpu", "100m"), limits: quantities("cpu", "200m"),
			whole: &corev1.ResourceRequirements{Requests: quantities("cpu", "100m"), Limits: quantities("cpu", "1")},
			want:  container.Resources{CPUShares: 102, CPUQuota: 20_000, CPUPeriod: 100_000, OOMScoreAdj: 999}},
		{name: "its part of what nobody asks for", requests: quantities("cpu", "100m"),
			whole:  &corev1.ResourceRequirements{Requests: quantities("cpu", "1")},
			beside: []corev1.Container{{Name: "other", Resources: corev1.ResourceRequirements{Requests: quantities("cpu", "300m")}}},
			want:   container.Resources{CPUShares: 409, OOMScoreAdj: 999}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pod := newPodObject("a", "web:1")
			pod.Spec.Resources, pod.Spec.Containers = tt.whole, append(pod.Spec.Containers, tt.beside...)
			c := &pod.Spec.Containers[0]
			c.Resources = corev1.ResourceRequirements{Requests: tt.requests, Limits: tt.limits}
			if diff := cmp.Diff(tt.want, limits(pod, c, memory)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
