package skifftest

import (
	"cmp"
	"context"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"skiff/orchestrator/manifest"
)

// manager is who sets the fields of a manifest, as far as the API is concerned.
const manager = "skifftest"

// Apply has the objects of a manifest be as it says, each in its own namespace,
// and returns the API's warnings.
func (i *Instance) Apply(t testing.TB, file string) []string {
	t.Helper()
	docs, err := manifest.Load(t.Context(), manifest.Options{Files: []string{file}})
	if err != nil {
		t.Fatalf("read manifest: %v", err)
	}
	groups, err := restmapper.GetAPIGroupResources(i.Client.Discovery())
	if err != nil {
		t.Fatalf("discover kinds: %v", err)
	}
	kinds := restmapper.NewDiscoveryRESTMapper(groups)
	told := &warnings{}
	config := rest.CopyConfig(i.Config)
	config.WarningHandler = told
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatalf("new client: %v", err)
	}
	for _, d := range docs {
		gvk := d.Object.GroupVersionKind()
		kind, err := kinds.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil {
			t.Fatalf("%s: %v", d.Source(), err)
		}
		var to dynamic.ResourceInterface = client.Resource(kind.Resource)
		if kind.Scope.Name() == meta.RESTScopeNameNamespace {
			to = client.Resource(kind.Resource).Namespace(cmp.Or(d.Object.GetNamespace(), Namespace))
		}
		if name := d.Object.GetName(); name != "" {
			_, err = to.Apply(t.Context(), name, d.Object, metav1.ApplyOptions{FieldManager: manager, Force: true})
		} else { // generateName
			_, err = to.Create(t.Context(), d.Object, metav1.CreateOptions{FieldManager: manager})
		}
		if err != nil {
			t.Fatal(d.Explain(err))
		}
	}
	return told.list
}

// warnings collects what the API has to say besides its answers.
type warnings struct {
	mu   sync.Mutex
	list []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, text)
}

// WaitPod waits until done says so of the Pod.
func (i *Instance) WaitPod(t testing.TB, name string, done func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	client := i.Client.CoreV1().Pods(Namespace)
	last := &corev1.Pod{}
	err := until(t.Context(), client.Watch, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()},
		func(ctx context.Context) (string, bool, error) {
			p, err := client.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return "", false, err
			}
			last = p
			return p.ResourceVersion, done(p), nil
		})
	if err != nil {
		t.Fatalf("wait for pod %s: %v; last seen: %v", name, err, &last.Status)
	}
	return last
}

// WaitEvent waits until somebody has recorded an event of the reason and the
// message.
func (i *Instance) WaitEvent(t testing.TB, reason, message string) {
	t.Helper()
	client := i.Client.CoreV1().Events(Namespace)
	err := until(t.Context(), client.Watch, metav1.ListOptions{},
		func(ctx context.Context) (string, bool, error) {
			list, err := client.List(ctx, metav1.ListOptions{})
			if err != nil {
				return "", false, err
			}
			for _, e := range list.Items {
				if e.Reason == reason && e.Message == message {
					return "", true, nil
				}
			}
			return list.ResourceVersion, false, nil
		})
	if err != nil {
		t.Fatalf("wait for event %s %q: %v", reason, message, err)
	}
}
