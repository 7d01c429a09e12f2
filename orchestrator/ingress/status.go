package ingress

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"skiff/orchestrator/resource"
)

// problem is what an Ingress is told of, once.
type problem struct{ reason, message string }

// tell writes Events about what is new.
func (c *Controller) tell(problems map[*networkingv1.Ingress][]problem) {
	told := map[types.UID]map[problem]bool{}
	for in, all := range problems {
		now := map[problem]bool{}
		for _, p := range all {
			now[p] = true
			if !c.told[in.UID][p] {
				c.Recorder.Event(in, corev1.EventTypeWarning, p.reason, p.message)
			}
		}
		told[in.UID] = now
	}
	c.told = told
}

// elsewhere says which of the ports of an Ingress are not those that they should be.
func (c *Controller) elsewhere(in *networkingv1.Ingress) []problem {
	var found []problem
	for _, d := range c.doorsOf(in) {
		if d.port != 0 && d.instead != "" {
			found = append(found, problem{"OtherPort", d.instead})
		}
	}
	return found
}

func (c *Controller) doorsOf(in *networkingv1.Ingress) []*door {
	if len(in.Spec.TLS) > 0 {
		return []*door{&c.http, &c.https}
	}
	return []*door{&c.http}
}

func (c *Controller) writeStatus(ctx context.Context, mine []*networkingv1.Ingress) error {
	var errs []error
	for _, in := range mine {
		want := networkingv1.IngressLoadBalancerStatus{Ingress: []networkingv1.IngressLoadBalancerIngress{{IP: loopback[0]}}}
		for _, d := range c.doorsOf(in) {
			if d.port != 0 {
				want.Ingress[0].Ports = append(want.Ingress[0].Ports, networkingv1.IngressPortStatus{Port: int32(d.port), Protocol: corev1.ProtocolTCP})
			}
		}
		if len(want.Ingress[0].Ports) == 0 {
			want.Ingress = nil
		}
		if apiequality.Semantic.DeepEqual(in.Status.LoadBalancer, want) {
			continue
		}
		errs = append(errs, writeStatus(ctx, c.Client, in.DeepCopy(), want))
	}
	return errors.Join(errs...)
}

func writeStatus(ctx context.Context, client kubernetes.Interface, in *networkingv1.Ingress, status networkingv1.IngressLoadBalancerStatus) error {
	in.Status.LoadBalancer = status
	_, err := client.NetworkingV1().Ingresses(in.Namespace).UpdateStatus(ctx, in, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write the status of ingress %s/%s: %w", in.Namespace, in.Name, err)
	}
	return nil
}

// The annotations of skiff's class tell at which ports the doors are.
const (
	HTTPPortAnnotation  = "skiff.dev/http-port"
	HTTPSPortAnnotation = "skiff.dev/https-port"
)

// published is what an annotation of the class says, or 0.
func (c *Controller) published(annotation string) int {
	class, err := c.classes.Get(resource.IngressClassName)
	if err != nil {
		return 0
	}
	port, _ := strconv.Atoi(class.Annotations[annotation])
	return port
}

func (c *Controller) publish(ctx context.Context) error {
	class, err := c.classes.Get(resource.IngressClassName)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get ingress class: %w", err)
	}
	want := maps.Clone(class.Annotations)
	if want == nil {
		want = map[string]string{}
	}
	for annotation, d := range map[string]*door{HTTPPortAnnotation: &c.http, HTTPSPortAnnotation: &c.https} {
		delete(want, annotation)
		if d.port != 0 {
			want[annotation] = strconv.Itoa(d.port)
		}
	}
	if maps.Equal(want, class.Annotations) {
		return nil
	}
	class = class.DeepCopy()
	class.Annotations = want
	if _, err := c.Client.NetworkingV1().IngressClasses().Update(ctx, class, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("say where the doors are: %w", err)
	}
	return nil
}

// Withdraw says of the Ingresses of skiff's classes that they are served nowhere:
// an earlier run served them, and this one does not.
func Withdraw(ctx context.Context, client kubernetes.Interface) error {
	list, err := client.NetworkingV1().IngressClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list ingress classes: %w", err)
	}
	byName := map[string]*networkingv1.IngressClass{}
	for i := range list.Items {
		byName[list.Items[i].Name] = &list.Items[i]
	}
	known := classes(func(name string) *networkingv1.IngressClass { return byName[name] })
	all, err := client.NetworkingV1().Ingresses(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list ingresses: %w", err)
	}
	var errs []error
	for _, in := range all.Items {
		if known.serve(&in) && len(in.Status.LoadBalancer.Ingress) > 0 {
			errs = append(errs, writeStatus(ctx, client, &in, networkingv1.IngressLoadBalancerStatus{}))
		}
	}
	return errors.Join(errs...)
}
