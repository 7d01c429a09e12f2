package ingress

import (
	"fmt"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/resource"
	"skiff/proxy"
)

// An Ingress of a class that does not exist is told so, and so is who asks for
// its host, until the class is there. One of another controller's is left alone.
func TestClasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Ports{})
	w.service("default", "web", proxy.HTTP)
	of := func(class, name string) {
		t.Helper()
		w.ingress(fmt.Sprintf(`
metadata: {name: %[2]s, uid: %[2]s}
spec: {ingressClassName: %[1]q, rules: [{host: %[2]s.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}`, class, name))
	}
	w.class("theirs", "example.com/other")
	of("theirs", "foreign")
	w.says("foreign.test", "/", `404 404 not found: Ingress default/foreign is not served by skiff: its IngressClass "theirs" has the controller example.com/other`)

	of("nginx", "shop")
	w.says("shop.test", "/x", `404 404 not found: Ingress default/shop is not served by skiff: there is no IngressClass "nginx"`)
	w.told("NoIngressClass", `not served: there is no IngressClass "nginx"; name the class "skiff", or create "nginx" with the controller skiff.dev/ingress`)
	w.class("nginx", resource.IngressController)
	w.says("shop.test", "/x", "200 default/web /x")
	w.eventually("its address", func() (string, bool) {
		at := w.get("shop").Status.LoadBalancer.Ingress
		return fmt.Sprint(at), len(at) == 1
	})
	if err := w.client.NetworkingV1().IngressClasses().Delete(t.Context(), "nginx", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.says("shop.test", "/", `404 404 not found: Ingress default/shop is not served by skiff: there is no IngressClass "nginx"`)

	// One whose class was taken out has the default one, while there is one.
	of("", "plain")
	w.says("plain.test", "/", "200 default/web /")
	skiff, err := w.client.NetworkingV1().IngressClasses().Get(t.Context(), resource.IngressClassName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	delete(skiff.Annotations, networkingv1.AnnotationIsDefaultIngressClass)
	if _, err := w.client.NetworkingV1().IngressClasses().Update(t.Context(), skiff, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.says("plain.test", "/", `404 404 not found: Ingress default/plain is not served by skiff: it names no IngressClass, and "skiff" is not the default one`)
	w.told("NoIngressClass", `not served: it names no IngressClass, and "skiff" is not the default one; name the class "skiff"`)

	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if strings.Contains(e, "theirs") {
			t.Errorf("another controller's: %s", e)
		}
	}
}

func (w *world) class(name, controller string) {
	w.Helper()
	class := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressClassSpec{Controller: controller}}
	if _, err := w.client.NetworkingV1().IngressClasses().Create(w.Context(), class, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
}
