package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/kubernetes/scheme"

	"skiff/orchestrator/manifest"
	"skiff/orchestrator/resource"
	"skiff/orchestrator/service/allocation"
)

// maker is what Pods come from: those that Services of its namespace are for.
type maker struct {
	name   string // with its kind, for people
	labels labels.Set
	spec   corev1.PodSpec
}

// set is what manifests that are applied together say about each other.
type set struct {
	objects  []runtime.Object           // as typedObject gives them, in the order of their documents
	makers   map[string][]maker         // by namespace
	services map[string]*corev1.Service // by namespace/name
}

func gather(docs []*manifest.Document) set {
	s := set{make([]runtime.Object, len(docs)), map[string][]maker{}, map[string]*corev1.Service{}}
	for i, d := range docs {
		s.objects[i] = typedObject(d)
		s.add(namespace(d), s.objects[i])
	}
	return s
}

// lookup finds a Service, which is what the rules of kinds that are checked ask for.
func (s set) lookup(of schema.GroupVersionResource, namespace, name string) (runtime.Object, error) {
	if svc := s.services[namespace+"/"+name]; svc != nil {
		return svc, nil
	}
	return nil, apierrors.NewNotFound(of.GroupResource(), name)
}

// findings are about what one document says of another. The API takes most of it as
// it is: the other one may come later, or from elsewhere.
func (s set) findings(docs []*manifest.Document) []Finding {
	var found []Finding
	var earlier []*corev1.Service
	for i, d := range docs {
		add := func(level Level, path, message string) {
			found = append(found, Finding{File: d.File, Line: d.Line(path), Level: level, Path: path, Message: message})
		}
		if svc, is := s.objects[i].(*corev1.Service); is {
			earlier = slices.DeleteFunc(earlier, func(other *corev1.Service) bool {
				return other.Namespace == svc.Namespace && other.Name == svc.Name
			}) // it is changed
			for _, e := range allocation.Requested(svc, earlier) {
				add(Refused, e.Field, e.ErrorBody())
			}
			earlier = append(earlier, svc)
		}
		for _, n := range s.notes(namespace(d), s.objects[i]) {
			add(Warning, n.path.String(), n.text)
		}
	}
	return found
}

// typedObject is nil for a document that is no object of Kubernetes' own kinds,
// or none that could be read.
func typedObject(d *manifest.Document) runtime.Object {
	obj, err := scheme.Scheme.New(d.Object.GroupVersionKind())
	if err != nil || runtime.DefaultUnstructuredConverter.FromUnstructured(d.Object.Object, obj) != nil {
		return nil
	}
	return obj
}

func namespace(d *manifest.Document) string {
	return cmp.Or(d.Object.GetNamespace(), metav1.NamespaceDefault)
}

func (s set) add(namespace string, obj runtime.Object) {
	template := func(name string, meta metav1.ObjectMeta, spec corev1.PodSpec) {
		s.makers[namespace] = append(s.makers[namespace], maker{name, meta.Labels, spec})
	}
	switch o := obj.(type) {
	case *corev1.Service:
		s.services[namespace+"/"+o.Name] = o
	case *corev1.Pod:
		template("pod "+o.Name, o.ObjectMeta, o.Spec)
	case *appsv1.Deployment:
		template("deployment "+o.Name, o.Spec.Template.ObjectMeta, o.Spec.Template.Spec)
	case *appsv1.ReplicaSet:
		template("replicaset "+o.Name, o.Spec.Template.ObjectMeta, o.Spec.Template.Spec)
	case *appsv1.StatefulSet:
		template("statefulset "+o.Name, o.Spec.Template.ObjectMeta, o.Spec.Template.Spec)
	case *appsv1.DaemonSet:
		template("daemonset "+o.Name, o.Spec.Template.ObjectMeta, o.Spec.Template.Spec)
	case *batchv1.Job:
		template("job "+o.Name, o.Spec.Template.ObjectMeta, o.Spec.Template.Spec)
	case *batchv1.CronJob:
		template("cronjob "+o.Name, o.Spec.JobTemplate.Spec.Template.ObjectMeta, o.Spec.JobTemplate.Spec.Template.Spec)
	}
}

func (s set) notes(namespace string, obj runtime.Object) []note {
	switch o := obj.(type) {
	case *corev1.Service:
		return append(addresses(o), s.targets(namespace, o)...)
	case *networkingv1.Ingress:
		return s.backends(namespace, o)
	}
	return nil
}

// addresses says of one that is asked for by number what no manifest can know.
func addresses(svc *corev1.Service) []note {
	if _, err := netip.ParseAddr(svc.Spec.ClusterIP); err != nil {
		return nil
	}
	return []note{{specPath.Child("clusterIP"), "each instance, and each cluster, has a range of its own and refuses other addresses; leave it out to be given one"}}
}

// targets looks for the Pods of a Service. Where there are none at all, they
// come from elsewhere.
func (s set) targets(namespace string, svc *corev1.Service) []note {
	if len(svc.Spec.Selector) == 0 || svc.Spec.Type == corev1.ServiceTypeExternalName || len(s.makers[namespace]) == 0 {
		return nil
	}
	selector := labels.SelectorFromSet(svc.Spec.Selector)
	var matching []maker
	for _, m := range s.makers[namespace] {
		if selector.Matches(m.labels) {
			matching = append(matching, m)
		}
	}
	if len(matching) == 0 {
		text := "no Pod of these manifests has these labels"
		if only := s.makers[namespace]; len(only) == 1 {
			text += fmt.Sprintf("; those of %s have %s", only[0].name, only[0].labels)
		}
		return []note{{specPath.Child("selector"), text}}
	}
	var notes []note
	for i, p := range svc.Spec.Ports {
		has := func(m maker) bool {
			_, ok := resource.TargetPort(p, &m.spec)
			return ok
		}
		if !slices.ContainsFunc(matching, has) {
			notes = append(notes, note{specPath.Child("ports").Index(i).Child("targetPort"),
				fmt.Sprintf("no %s port of %s is named %q", cmp.Or(p.Protocol, corev1.ProtocolTCP), matching[0].name, p.TargetPort.StrVal)})
		}
	}
	return notes
}

// backends looks for the Services to which an Ingress leads.
func (s set) backends(namespace string, in *networkingv1.Ingress) []note {
	var notes []note
	look := func(b *networkingv1.IngressBackend, path *field.Path) {
		if b == nil || b.Service == nil {
			return
		}
		if svc := s.services[namespace+"/"+b.Service.Name]; svc != nil {
			notes = append(notes, backend(svc, b.Service.Port, path.Child("service"))...)
		}
	}
	look(in.Spec.DefaultBackend, specPath.Child("defaultBackend"))
	for i, rule := range in.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for j := range rule.HTTP.Paths {
			look(&rule.HTTP.Paths[j].Backend, specPath.Child("rules").Index(i).Child("http", "paths").Index(j).Child("backend"))
		}
	}
	return notes
}

// backend says why requests for a Service are answered 503.
func backend(svc *corev1.Service, port networkingv1.ServiceBackendPort, path *field.Path) []note {
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		return []note{{path.Child("name"), fmt.Sprintf("service %s is an external name, which skiff does not forward to: requests are answered 503", svc.Name)}}
	case svc.Spec.ClusterIP == corev1.ClusterIPNone:
		return []note{{path.Child("name"), fmt.Sprintf("service %s is headless: it has no ports to forward to, and requests are answered 503", svc.Name)}}
	case slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool {
		return p.Port == port.Number || port.Name != "" && p.Name == port.Name
	}):
		return nil
	}
	which := fmt.Sprint(port.Number)
	if port.Name != "" {
		which = fmt.Sprintf("%q", port.Name)
	}
	return []note{{path.Child("port"), fmt.Sprintf("service %s has no port %s", svc.Name, which)}}
}
