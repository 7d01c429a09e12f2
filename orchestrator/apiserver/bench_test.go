package apiserver

import (
	"fmt"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// fullPod is about as large as a Pod gets that runs.
func fullPod(name string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "default",
			Labels:          map[string]string{"app": "web", "pod-template-hash": "6f89cd886"},
			Annotations:     map[string]string{"skiff.dev/drain-seconds": "5"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-6f89cd886", UID: "0b3a8f4e-7d3c-4a52-9b61-1f9b8a4f0c11"}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"},
	}
	for _, condition := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
	}
	for i := range 2 {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{
			Name: fmt.Sprint("c", i), Image: "web:1", Env: []corev1.EnvVar{{Name: "A", Value: "b"}, {Name: "C", Value: "d"}},
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
		})
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: fmt.Sprint("c", i), Ready: true, Image: "web:1", ImageID: "sha256:0123456789abcdef", ContainerID: "docker://0123456789abcdef",
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
		})
	}
	return pod
}

var benchmarked = map[string]string{"protobuf": runtime.ContentTypeProtobuf, "json": runtime.ContentTypeJSON}

func fillPods(b *testing.B, api *testAPI, n int) {
	b.Helper()
	for i := range n {
		if _, err := api.proto(b).CoreV1().Pods("default").Create(b.Context(), fullPod(fmt.Sprint("p", i)), metav1.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
}

func BenchmarkGet(b *testing.B) {
	api := newTestAPI(b, false)
	fillPods(b, api, 1)
	for name, contentType := range benchmarked {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if res, _ := api.do(b, "GET", "/api/v1/namespaces/default/pods/p0", "", "Accept", contentType); res.StatusCode != 200 {
					b.Fatal(res.Status)
				}
			}
		})
	}
}

func BenchmarkList1000(b *testing.B) {
	api := newTestAPI(b, false)
	fillPods(b, api, 1000)
	benchmarked["table"] = "application/json;as=Table;g=meta.k8s.io;v=v1"
	for name, contentType := range benchmarked {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if res, _ := api.do(b, "GET", "/api/v1/namespaces/default/pods", "", "Accept", contentType); res.StatusCode != 200 {
					b.Fatal(res.Status)
				}
			}
		})
	}
}

// BenchmarkUpdate changes Pods through client-go and the in-process transport,
// as the controllers do.
func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			api := newTestAPI(b, false)
			fillPods(b, api, 64)
			client := api.proto(b).CoreV1().Pods("default")
			var next atomic.Int64
			b.SetParallelism(writers)
			b.RunParallel(func(pb *testing.PB) { // writers for each processor
				pod := fullPod(fmt.Sprint("p", next.Add(1)%64))
				for pb.Next() {
					pod.Annotations["n"] = fmt.Sprint(next.Add(1))
					if _, err := client.Update(b.Context(), pod, metav1.UpdateOptions{}); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkStorageEncoding(b *testing.B) {
	k := newKind(testPods())
	raw, err := encodeStored(k, fullPod("p"))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := encodeStored(k, fullPod("p")); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		b.ReportMetric(float64(len(raw)), "bytes")
		for b.Loop() {
			if _, err := decodeStored(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOpenAPI(b *testing.B) {
	var kinds []*kind
	for _, d := range testResources() {
		kinds = append(kinds, newKind(d))
	}
	for b.Loop() {
		o := &openAPI{kinds: kinds}
		if _, err := o.group(corev1.SchemeGroupVersion); err != nil {
			b.Fatal(err)
		}
	}
}
