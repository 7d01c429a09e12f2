package ingress

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"skiff/orchestrator/resource"
)

// Where Ingresses are served no more, they do not say so, and those of others are
// left alone.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	class := func(name, controller string) *networkingv1.IngressClass {
		return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressClassSpec{Controller: controller}}
	}
	served := func(class string) *networkingv1.Ingress {
		return &networkingv1.Ingress{
			ObjectMeta: metav1.ObjectMeta{Name: class, Namespace: "default"}, Spec: networkingv1.IngressSpec{IngressClassName: &class},
			Status: networkingv1.IngressStatus{LoadBalancer: networkingv1.IngressLoadBalancerStatus{
				Ingress: []networkingv1.IngressLoadBalancerIngress{{IP: "127.0.0.1"}},
			}},
		}
	}
	client := fake.NewClientset(
		class(resource.IngressClassName, resource.IngressController), class("mine", resource.IngressController), class("theirs", "example.com/other"),
		served(resource.IngressClassName), served("mine"), served("theirs"), served("nobodys"),
	)
	if err := Withdraw(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{resource.IngressClassName: 0, "mine": 0, "theirs": 1, "nobodys": 1} {
		in, err := client.NetworkingV1().Ingresses("default").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || len(in.Status.LoadBalancer.Ingress) != want {
			t.Errorf("%s: %+v, %v", name, in.Status, err)
		}
	}
}
