package service

//lint:file-ignore SA1019 Endpoints are written because clients still read them.

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// apiService is the Service that clients in Pods find the API by.
var apiService = cache.NewObjectName(metav1.NamespaceDefault, "kubernetes")

// IsAPI says whether a Service is the one that leads to the API.
func IsAPI(o metav1.Object) bool {
	return o.GetNamespace() == apiService.Namespace && o.GetName() == apiService.Name
}

// API is where the API is, for the Service default/kubernetes.
type API struct {
	ClusterIP netip.Addr // of the Service: allocation.Ranges.APIServiceIP
	// Address is where Pods reach the API. The API refuses loopback addresses as
	// endpoints, they would lead a Pod to itself.
	Address netip.Addr
	Port    int32
}

const apiPortName = "https"

// Bootstrap makes the Service default/kubernetes and its endpoints, in a
// namespace that exists. Run does so as well; who calls Bootstrap first knows
// that they are there.
func (c *Controller) Bootstrap(ctx context.Context) error { return c.syncAPIService(ctx) }

// syncAPIService makes the Service, its slice and its Endpoints what they are to
// be. They are read from the API, not from the informers: this happens once, and
// whenever someone changed one of them.
func (c *Controller) syncAPIService(ctx context.Context) error {
	if err := c.ensureAPIService(ctx); err != nil {
		return fmt.Errorf("keep the service %s: %w", apiService, err)
	}
	return errors.Join(c.ensureAPISlice(ctx), c.ensureAPIEndpoints(ctx))
}

func (c *Controller) ensureAPIService(ctx context.Context) error {
	client := c.client.CoreV1().Services(apiService.Namespace)
	want := c.api.service()
	old, err := client.Get(ctx, apiService.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = client.Create(ctx, want, metav1.CreateOptions{})
		return err
	case err != nil:
		return err
	case old.Spec.ClusterIP != want.Spec.ClusterIP || old.Spec.Type != want.Spec.Type:
		// The instance got another range, or someone another type; an address
		// cannot be changed. The deletion brings this here again.
		return client.Delete(ctx, old.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(old.UID))})
	case apiequality.Semantic.DeepEqual(old.Spec.Ports, want.Spec.Ports) && len(old.Spec.Selector) == 0:
		return nil
	}
	changed := old.DeepCopy()
	changed.Spec.Ports, changed.Spec.Selector = want.Spec.Ports, nil
	_, err = client.Update(ctx, changed, metav1.UpdateOptions{})
	return err
}

func (a API) service() *corev1.Service {
	ip := a.ClusterIP.String()
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: apiService.Namespace,
			Name:      apiService.Name,
			Labels:    map[string]string{"component": "apiserver", "provider": "kubernetes"},
		},
		Spec: corev1.ServiceSpec{
			Type:            corev1.ServiceTypeClusterIP,
			ClusterIP:       ip,
			ClusterIPs:      []string{ip},
			IPFamilies:      []corev1.IPFamily{corev1.IPv4Protocol},
			IPFamilyPolicy:  ptr.To(corev1.IPFamilyPolicySingleStack),
			SessionAffinity: corev1.ServiceAffinityNone,
			Ports: []corev1.ServicePort{{
				Name: apiPortName, Port: 443, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(a.Port),
			}},
		},
	}
}

func (c *Controller) ensureAPISlice(ctx context.Context) error {
	client := c.client.DiscoveryV1().EndpointSlices(apiService.Namespace)
	want := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: apiService.Namespace,
			Name:      apiService.Name,
			Labels:    map[string]string{discoveryv1.LabelServiceName: apiService.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses:  []string{c.api.Address.String()},
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		}},
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To(apiPortName), Port: ptr.To(c.api.Port), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	old, err := client.Get(ctx, apiService.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = client.Create(ctx, want, metav1.CreateOptions{})
		return err
	}
	if err != nil || sameSlice(want, old) {
		return err
	}
	want.ObjectMeta = *old.ObjectMeta.DeepCopy()
	want.Labels, want.OwnerReferences = map[string]string{discoveryv1.LabelServiceName: apiService.Name}, nil
	_, err = client.Update(ctx, want, metav1.UpdateOptions{})
	return err
}

func (c *Controller) ensureAPIEndpoints(ctx context.Context) error {
	client := c.client.CoreV1().Endpoints(apiService.Namespace)
	want := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: apiService.Namespace,
			Name:      apiService.Name,
			Labels:    map[string]string{discoveryv1.LabelSkipMirror: "true"},
		},
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: c.api.Address.String()}},
			Ports:     []corev1.EndpointPort{{Name: apiPortName, Port: c.api.Port, Protocol: corev1.ProtocolTCP}},
		}},
	}
	old, err := client.Get(ctx, apiService.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = client.Create(ctx, want, metav1.CreateOptions{})
		return err
	}
	if err != nil || sameEndpoints(want, old) {
		return err
	}
	want.ObjectMeta = *old.ObjectMeta.DeepCopy()
	want.Labels = map[string]string{discoveryv1.LabelSkipMirror: "true"}
	_, err = client.Update(ctx, want, metav1.UpdateOptions{})
	return err
}
