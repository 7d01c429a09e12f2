package service

//lint:file-ignore SA1019 Endpoints are written because clients still read them.

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

const (
	// The label is upstream's; so is its value.
	endpointsLabel   = "endpoints.kubernetes.io/managed-by"
	endpointsManager = "endpoint-controller"
	// maxAddresses bounds one Endpoints object, which cannot be split.
	maxAddresses = 1000
	truncated    = "truncated"
)

// syncEndpoints writes the older form of what the slices say.
func (r *run) syncEndpoints(ctx context.Context, svc *corev1.Service, pods []*corev1.Pod) error {
	client := r.client.CoreV1().Endpoints(svc.Namespace)
	want := endpointsFor(svc, membersOf(svc, pods))
	old, err := client.Get(ctx, svc.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if _, err := client.Create(ctx, want, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create endpoints: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read endpoints: %w", err)
	}
	if sameEndpoints(want, old) {
		return nil
	}
	changed := old.DeepCopy()
	changed.Labels, changed.Subsets = want.Labels, want.Subsets
	delete(changed.Annotations, corev1.EndpointsOverCapacity)
	for key, value := range want.Annotations {
		metav1.SetMetaDataAnnotation(&changed.ObjectMeta, key, value)
	}
	if _, err := client.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update endpoints: %w", err)
	}
	return nil
}

// removeEndpoints deletes what was written for a Service that is gone; the
// object has no owner by which it would go.
func (r *run) removeEndpoints(ctx context.Context, name cache.ObjectName) error {
	client := r.client.CoreV1().Endpoints(name.Namespace)
	old, err := client.Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && old.Labels[endpointsLabel] != endpointsManager {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read endpoints: %w", err)
	}
	err = client.Delete(ctx, name.Name, metav1.DeleteOptions{
		Preconditions: metav1.NewUIDPreconditions(string(old.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete endpoints: %w", err)
	}
	return nil
}

func endpointsFor(svc *corev1.Service, members []member) *corev1.Endpoints {
	e := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: svc.Namespace, Name: svc.Name, Labels: serviceLabels(svc)}}
	e.Labels[endpointsLabel] = endpointsManager
	subsets := map[string]int{}
	count := 0
	for _, m := range members {
		// Going Pods are only told of where not-ready ones are wanted, and a Pod
		// without any of the ports is none of the Service's.
		if m.terminating && !svc.Spec.PublishNotReadyAddresses || len(m.ports) == 0 && len(svc.Spec.Ports) > 0 {
			continue
		}
		if count++; count > maxAddresses {
			e.Annotations = map[string]string{corev1.EndpointsOverCapacity: truncated}
			break
		}
		key := portsKey(m.ports)
		at, ok := subsets[key]
		if !ok {
			at = len(e.Subsets)
			subsets[key] = at
			e.Subsets = append(e.Subsets, corev1.EndpointSubset{Ports: olderPorts(m.ports)})
		}
		addAddress(&e.Subsets[at], svc, m)
	}
	return e
}

func addAddress(subset *corev1.EndpointSubset, svc *corev1.Service, m member) {
	address := corev1.EndpointAddress{
		IP:        m.pod.Status.PodIP,
		Hostname:  hostname(svc, m.pod),
		NodeName:  optional(m.pod.Spec.NodeName),
		TargetRef: reference(m.pod),
	}
	if m.ready {
		subset.Addresses = append(subset.Addresses, address)
	} else {
		subset.NotReadyAddresses = append(subset.NotReadyAddresses, address)
	}
}

func olderPorts(ports []discoveryv1.EndpointPort) []corev1.EndpointPort {
	var older []corev1.EndpointPort
	for _, p := range ports {
		older = append(older, corev1.EndpointPort{
			Name:        ptr.Deref(p.Name, ""),
			Port:        ptr.Deref(p.Port, 0),
			Protocol:    ptr.Deref(p.Protocol, corev1.ProtocolTCP),
			AppProtocol: p.AppProtocol,
		})
	}
	return older
}

func sameEndpoints(a, b *corev1.Endpoints) bool {
	return apiequality.Semantic.DeepEqual(a.Subsets, b.Subsets) && maps.Equal(a.Labels, b.Labels) &&
		a.Annotations[corev1.EndpointsOverCapacity] == b.Annotations[corev1.EndpointsOverCapacity]
}
