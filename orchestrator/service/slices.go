package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

const (
	// sliceManager marks the slices that are the controller's, as upstream does.
	sliceManager = "endpointslice-controller.k8s.io"
	// maxPerSlice is what the API accepts at most.
	maxPerSlice = 1000
)

// HandMade says whether endpoints, of either form, are a user's and not the
// controller's.
func HandMade(endpoints metav1.Object) bool {
	set := endpoints.GetLabels()
	return set[discoveryv1.LabelManagedBy] != sliceManager && set[endpointsLabel] != endpointsManager
}

func (r *run) syncSlices(ctx context.Context, svc *corev1.Service, pods []*corev1.Pod) error {
	client := r.client.DiscoveryV1().EndpointSlices(svc.Namespace)
	// Read from the API and not from the informer, which may lag behind the last
	// round: a slice made then has no name to know it by and would be made again.
	existing, err := client.List(ctx, metav1.ListOptions{LabelSelector: labels.Set{
		discoveryv1.LabelServiceName: svc.Name,
		discoveryv1.LabelManagedBy:   sliceManager,
	}.String()})
	if err != nil {
		return fmt.Errorf("list endpoint slices: %w", err)
	}
	p := planSlices(svc, membersOf(svc, pods), existing.Items)
	var errs []error
	for _, slice := range p.create {
		_, err := client.Create(ctx, slice, metav1.CreateOptions{})
		errs = append(errs, err)
	}
	for _, slice := range p.update {
		_, err := client.Update(ctx, slice, metav1.UpdateOptions{})
		errs = append(errs, err)
	}
	// Deletes come last, and only after the rest: an endpoint that moves from one
	// slice to another is never missing.
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, slice := range p.remove {
		err := client.Delete(ctx, slice.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(slice.UID))})
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// slicePlan is what makes the stored slices of a Service the right ones.
type slicePlan struct {
	create, update, remove []*discoveryv1.EndpointSlice
}

// planSlices leaves every endpoint in the slice where it is, so that a change of
// one Pod is the change of one slice.
func planSlices(svc *corev1.Service, members []member, existing []discoveryv1.EndpointSlice) slicePlan {
	wanted := groupByPorts(svc, members)
	stored := map[string][]*discoveryv1.EndpointSlice{}
	for i := range existing {
		key := portsKey(existing[i].Ports)
		stored[key] = append(stored[key], &existing[i])
	}
	var p slicePlan
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		p.add(svc, wanted[key], stored[key])
	}
	for _, key := range slices.Sorted(maps.Keys(stored)) {
		if _, ok := wanted[key]; !ok {
			p.remove = append(p.remove, stored[key]...)
		}
	}
	return p
}

// portGroup is the endpoints that have the same ports, as those of one slice must.
type portGroup struct {
	ports     []discoveryv1.EndpointPort
	endpoints []discoveryv1.Endpoint
}

func groupByPorts(svc *corev1.Service, members []member) map[string]*portGroup {
	groups := map[string]*portGroup{}
	for _, m := range members {
		key := portsKey(m.ports)
		if groups[key] == nil {
			groups[key] = &portGroup{ports: m.ports}
		}
		groups[key].endpoints = append(groups[key].endpoints, endpointOf(svc, m))
	}
	if len(groups) == 0 {
		// One empty slice says that the Service is looked after and has nothing.
		groups[portsKey(nil)] = &portGroup{ports: []discoveryv1.EndpointPort{}}
	}
	return groups
}

func portsKey(ports []discoveryv1.EndpointPort) string {
	keys := make([]string, len(ports))
	for i, p := range ports {
		keys[i] = fmt.Sprintf("%q %s %d %q", ptr.Deref(p.Name, ""), ptr.Deref(p.Protocol, ""), ptr.Deref(p.Port, 0), ptr.Deref(p.AppProtocol, ""))
	}
	slices.Sort(keys)
	return strings.Join(keys, "\n")
}

func endpointOf(svc *corev1.Service, m member) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Addresses:  []string{m.pod.Status.PodIP},
		Conditions: discoveryv1.EndpointConditions{Ready: &m.ready, Serving: &m.serving, Terminating: &m.terminating},
		Hostname:   optional(hostname(svc, m.pod)),
		TargetRef:  reference(m.pod),
		NodeName:   optional(m.pod.Spec.NodeName),
	}
}

// add plans the slices of one group of endpoints.
func (p *slicePlan) add(svc *corev1.Service, group *portGroup, stored []*discoveryv1.EndpointSlice) {
	missing := map[types.UID]discoveryv1.Endpoint{}
	for _, e := range group.endpoints {
		missing[e.TargetRef.UID] = e
	}
	slices.SortFunc(stored, func(a, b *discoveryv1.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) })
	kept := make([]*discoveryv1.EndpointSlice, len(stored))
	for i, old := range stored {
		kept[i] = desiredSlice(svc, group.ports)
		kept[i].ObjectMeta = *old.ObjectMeta.DeepCopy()
		describeSlice(svc, kept[i])
		for _, e := range old.Endpoints {
			if e.TargetRef == nil {
				continue
			}
			if now, ok := missing[e.TargetRef.UID]; ok {
				kept[i].Endpoints = append(kept[i].Endpoints, now)
				delete(missing, e.TargetRef.UID)
			}
		}
	}
	rest := slices.SortedFunc(maps.Values(missing), func(a, b discoveryv1.Endpoint) int {
		return cmp.Compare(a.TargetRef.Name, b.TargetRef.Name)
	})
	for _, slice := range kept {
		n := min(maxPerSlice-len(slice.Endpoints), len(rest))
		slice.Endpoints, rest = append(slice.Endpoints, rest[:n]...), rest[n:]
	}
	for len(rest) > 0 {
		n := min(maxPerSlice, len(rest))
		p.create = append(p.create, newSlice(svc, group.ports, rest[:n]))
		rest = rest[n:]
	}
	if len(group.endpoints) == 0 && len(stored) == 0 {
		p.create = append(p.create, newSlice(svc, group.ports, nil))
	}
	p.keep(kept, stored, len(group.endpoints) == 0)
}

// keep plans the update of the slices that changed and the removal of those
// that became empty, all but the first where one is to stay.
func (p *slicePlan) keep(kept, stored []*discoveryv1.EndpointSlice, placeholder bool) {
	for i, slice := range kept {
		switch {
		case len(slice.Endpoints) == 0 && !(placeholder && i == 0):
			p.remove = append(p.remove, stored[i])
		case !sameSlice(slice, stored[i]):
			p.update = append(p.update, slice)
		}
	}
}

func sameSlice(a, b *discoveryv1.EndpointSlice) bool {
	return apiequality.Semantic.DeepEqual(a.Endpoints, b.Endpoints) && apiequality.Semantic.DeepEqual(a.Ports, b.Ports) &&
		maps.Equal(a.Labels, b.Labels) && apiequality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences)
}

func newSlice(svc *corev1.Service, ports []discoveryv1.EndpointPort, endpoints []discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	slice := desiredSlice(svc, ports)
	slice.GenerateName = svc.Name + "-"
	slice.Endpoints = endpoints
	describeSlice(svc, slice)
	return slice
}

func desiredSlice(svc *corev1.Service, ports []discoveryv1.EndpointPort) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: svc.Namespace},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       ports,
		Endpoints:   []discoveryv1.Endpoint{},
	}
}

// describeSlice gives the slice the Service's labels and the Service as owner.
func describeSlice(svc *corev1.Service, slice *discoveryv1.EndpointSlice) {
	slice.Labels = serviceLabels(svc)
	slice.Labels[discoveryv1.LabelServiceName] = svc.Name
	slice.Labels[discoveryv1.LabelManagedBy] = sliceManager
	slice.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(svc, corev1.SchemeGroupVersion.WithKind("Service"))}
}

// serviceLabels are the Service's labels and whether it is headless.
func serviceLabels(svc *corev1.Service) map[string]string {
	set := maps.Clone(svc.Labels)
	if set == nil {
		set = map[string]string{}
	}
	delete(set, corev1.IsHeadlessService)
	if svc.Spec.ClusterIP == corev1.ClusterIPNone {
		set[corev1.IsHeadlessService] = ""
	}
	return set
}
