package apiserver

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/store"
)

// testAPI is a server with a few kinds of the test's own.
type testAPI struct {
	*Server
	config *rest.Config // over TLS, or in process
}

// overEach runs a test against the server over TLS and in process.
func overEach(t *testing.T, test func(t *testing.T, api *testAPI)) {
	t.Run("tls", func(t *testing.T) {
		t.Parallel()
		test(t, newTestAPI(t, true))
	})
	t.Run("in process", func(t *testing.T) {
		t.Parallel()
		test(t, newTestAPI(t, false))
	})
}

func newTestAPI(t testing.TB, overTLS bool, adjust ...func(*Options)) *testAPI {
	t.Helper()
	return newTestAPIIn(t, t.TempDir(), overTLS, adjust...)
}

func newTestAPIIn(t testing.TB, dir string, overTLS bool, adjust ...func(*Options)) *testAPI {
	t.Helper()
	kept, err := store.Open(filepath.Join(dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Store: kept, Resources: testResources(), Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))}
	for _, f := range adjust {
		f(&options)
	}
	server := New(options)
	inBackground(t, func(ctx context.Context) error {
		err := kept.Run(ctx)
		return err
	}, kept.Close)
	inBackground(t, server.Run, nil)
	api := &testAPI{Server: server}
	if overTLS {
		api.config = serveTLS(t, server.Outside(), filepath.Join(dir, "pki"))
	} else {
		api.config = &rest.Config{Host: "https://skiff.invalid", Transport: Transport(server)}
	}
	api.config.QPS = -1
	for _, name := range []string{"default", "other"} {
		api.mustCreateNamespace(t, name)
	}
	return api
}

// inBackground runs f until the test ends, and waits for it to return.
func inBackground(t testing.TB, f func(context.Context) error, after func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if after != nil {
			if err := after(); err != nil {
				t.Error(err)
			}
		}
	})
}

func serveTLS(t testing.TB, h http.Handler, dir string) *rest.Config {
	t.Helper()
	pki, err := LoadPKI(dir, atLoopback, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewUnstartedServer(h)
	listener.TLS = pki.ServerTLS()
	listener.EnableHTTP2 = true
	certificates := listener.TLS.Certificates
	listener.StartTLS()
	listener.TLS.Certificates = certificates
	t.Cleanup(listener.Close)
	url := strings.Replace(listener.URL, "127.0.0.1", "localhost", 1)
	config, err := clientcmd.NewDefaultClientConfig(*pki.Kubeconfig("test", url), nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

func (a *testAPI) typed(t testing.TB, contentType string) kubernetes.Interface {
	t.Helper()
	config := rest.CopyConfig(a.config)
	config.ContentType = contentType
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (a *testAPI) proto(t testing.TB) kubernetes.Interface {
	return a.typed(t, runtime.ContentTypeProtobuf)
}

func (a *testAPI) dynamic(t testing.TB) dynamic.Interface {
	t.Helper()
	client, err := dynamic.NewForConfig(a.config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (a *testAPI) mustCreateNamespace(t testing.TB, name string) {
	t.Helper()
	if a.kinds[namespaceGVR] == nil {
		return
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := a.proto(t).CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// do sends one raw request in process and returns the answer with its body.
func (a *testAPI) do(t testing.TB, method, target, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req := httptest.NewRequest(method, target, strings.NewReader(body)).WithContext(t.Context())
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	a.ServeHTTP(recorder, req)
	res := recorder.Result()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

func testResources() []*resource.Definition {
	return []*resource.Definition{testNamespaces(), testConfigMaps(), testPods(), testServices(), testDeployments()}
}

func validateTestMeta(obj runtime.Object, namespaced bool) field.ErrorList {
	return apivalidation.ValidateObjectMetaAccessor(obj.(metav1.Object), namespaced, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
}

func validateTestUpdate(obj, old runtime.Object) field.ErrorList {
	return apivalidation.ValidateObjectMetaAccessorUpdate(obj.(metav1.Object), old.(metav1.Object), field.NewPath("metadata"))
}

func testNamespaces() *resource.Definition {
	return &resource.Definition{
		GVK: corev1.SchemeGroupVersion.WithKind("Namespace"), Plural: "namespaces", Singular: "namespace", ShortNames: []string{"ns"},
		Verbs: []string{"create", "delete", "get", "list", "patch", "update", "watch"},
		PrepareCreate: func(obj runtime.Object) {
			obj.(*corev1.Namespace).Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
		},
		PrepareUpdate: func(obj, old runtime.Object) {
			obj.(*corev1.Namespace).Status = old.(*corev1.Namespace).Status
			obj.(*corev1.Namespace).Spec = old.(*corev1.Namespace).Spec
		},
		Validate:       func(obj runtime.Object) field.ErrorList { return validateTestMeta(obj, false) },
		ValidateUpdate: validateTestUpdate,
	}
}

func testConfigMaps() *resource.Definition {
	return &resource.Definition{
		GVK: corev1.SchemeGroupVersion.WithKind("ConfigMap"), Plural: "configmaps", Singular: "configmap", ShortNames: []string{"cm"}, Namespaced: true,
		Validate:       func(obj runtime.Object) field.ErrorList { return validateTestMeta(obj, true) },
		ValidateUpdate: validateTestUpdate,
	}
}

func testPods() *resource.Definition {
	return &resource.Definition{
		GVK: corev1.SchemeGroupVersion.WithKind("Pod"), Plural: "pods", Singular: "pod", ShortNames: []string{"po"}, Categories: []string{"all"}, Namespaced: true,
		Default: func(obj runtime.Object) {
			spec := &obj.(*corev1.Pod).Spec
			if spec.TerminationGracePeriodSeconds == nil {
				seconds := int64(30)
				spec.TerminationGracePeriodSeconds = &seconds
			}
		},
		PrepareCreate: func(obj runtime.Object) { obj.(*corev1.Pod).Status = corev1.PodStatus{Phase: corev1.PodPending} },
		PrepareUpdate: func(obj, old runtime.Object) { obj.(*corev1.Pod).Status = old.(*corev1.Pod).Status },
		PrepareStatus: func(obj, old runtime.Object) { obj.(*corev1.Pod).Spec = old.(*corev1.Pod).Spec },
		Validate:      func(obj runtime.Object) field.ErrorList { return validateTestMeta(obj, true) },
		GracePeriod: func(obj runtime.Object) int64 {
			if pod := obj.(*corev1.Pod); pod.Spec.NodeName != "" {
				return *pod.Spec.TerminationGracePeriodSeconds
			}
			return 0
		},
		Fields: func(obj runtime.Object) fields.Set {
			pod := obj.(*corev1.Pod)
			return fields.Set{"spec.nodeName": pod.Spec.NodeName, "status.phase": string(pod.Status.Phase)}
		},
		Columns: []metav1.TableColumnDefinition{{Name: "Name", Type: "string", Format: "name"}, {Name: "Status", Type: "string"}},
		Row: func(obj runtime.Object) []any {
			return []any{obj.(*corev1.Pod).Name, string(obj.(*corev1.Pod).Status.Phase)}
		},
	}
}

// testServices hands out the numbers from 30000 on, each once.
func testServices() *resource.Definition {
	return &resource.Definition{
		GVK: corev1.SchemeGroupVersion.WithKind("Service"), Plural: "services", Singular: "service", ShortNames: []string{"svc"}, Namespaced: true,
		Allocate: func(obj, _ runtime.Object, stored []runtime.Object) field.ErrorList {
			service := obj.(*corev1.Service)
			if service.Spec.HealthCheckNodePort != 0 {
				return nil
			}
			next := int32(30000)
			for _, other := range stored {
				next = max(next, other.(*corev1.Service).Spec.HealthCheckNodePort+1)
			}
			service.Spec.HealthCheckNodePort = next
			return nil
		},
	}
}

func testDeployments() *resource.Definition {
	deployment := func(obj runtime.Object) *appsv1.Deployment { return obj.(*appsv1.Deployment) }
	return &resource.Definition{
		GVK: appsv1.SchemeGroupVersion.WithKind("Deployment"), Plural: "deployments", Singular: "deployment", ShortNames: []string{"deploy"}, Categories: []string{"all"}, Namespaced: true,
		Default: func(obj runtime.Object) {
			if deployment(obj).Spec.Replicas == nil {
				one := int32(1)
				deployment(obj).Spec.Replicas = &one
			}
		},
		PrepareCreate: func(obj runtime.Object) { deployment(obj).Status = appsv1.DeploymentStatus{} },
		PrepareUpdate: func(obj, old runtime.Object) { deployment(obj).Status = deployment(old).Status },
		PrepareStatus: func(obj, old runtime.Object) { deployment(obj).Spec = deployment(old).Spec },
		SpecChanged: func(obj, old runtime.Object) bool {
			return !equality.Semantic.DeepEqual(deployment(obj).Spec, deployment(old).Spec)
		},
		Validate: func(obj runtime.Object) field.ErrorList {
			errs := validateTestMeta(obj, true)
			if replicas := deployment(obj).Spec.Replicas; *replicas < 0 {
				errs = append(errs, field.Invalid(field.NewPath("spec", "replicas"), *replicas, "must be greater than or equal to 0"))
			}
			return errs
		},
		ValidateUpdate: validateTestUpdate,
		Warnings: func(obj, _ runtime.Object) []string {
			if deployment(obj).Spec.Template.Spec.SchedulerName != "" {
				return []string{"spec.template.spec.schedulerName: there is one node"}
			}
			return nil
		},
		Scale: func(obj runtime.Object) *autoscalingv1.Scale {
			return &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: *deployment(obj).Spec.Replicas}}
		},
		SetReplicas: func(obj runtime.Object, replicas int32) { deployment(obj).Spec.Replicas = &replicas },
	}
}
