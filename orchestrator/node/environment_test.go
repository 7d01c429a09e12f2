package node

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientfake "k8s.io/client-go/kubernetes/fake"
)

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: data}
}

func secret(name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: data}
}

func fromConfigMap(name, prefix string, optional bool) corev1.EnvFromSource {
	return corev1.EnvFromSource{Prefix: prefix, ConfigMapRef: &corev1.ConfigMapEnvSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Optional: &optional,
	}}
}

func fromSecret(name, prefix string, optional bool) corev1.EnvFromSource {
	return corev1.EnvFromSource{Prefix: prefix, SecretRef: &corev1.SecretEnvSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Optional: &optional,
	}}
}

func configMapKey(variable, name, key string, optional bool) corev1.EnvVar {
	return corev1.EnvVar{Name: variable, ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key, Optional: &optional,
	}}}
}

func secretKey(variable, name, key string, optional bool) corev1.EnvVar {
	return corev1.EnvVar{Name: variable, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key, Optional: &optional,
	}}}
}

func fieldOf(variable, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: variable, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
}

func resourceOf(variable, container, name, divisor string) corev1.EnvVar {
	return corev1.EnvVar{Name: variable, ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{
		ContainerName: container, Resource: name, Divisor: resource.MustParse(divisor),
	}}}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	plain := func(name, value string) corev1.EnvVar { return corev1.EnvVar{Name: name, Value: value} }
	services := map[string]string{"DB_SERVICE_HOST": "10.0.0.9", "DB_SERVICE_PORT": "5432"}
	tests := []struct {
		name string
		from []corev1.EnvFromSource
		env  []corev1.EnvVar
		want []string // without those of Services that come last
		bad  []string
		err  string
	}{
		{name: "references to what is listed before",
			env:  []corev1.EnvVar{plain("HOST", "db"), plain("URL", "tcp://$(HOST):$(PORT)"), plain("PORT", "1"), plain("HOST", "$(HOST)2")},
			want: []string{"HOST=db2", "URL=tcp://db:$(PORT)", "PORT=1"}},
		{name: "whole objects come first, with a prefix, the later ones over the earlier",
			from: []corev1.EnvFromSource{fromConfigMap("settings", "", false), fromSecret("keys", "KEY_", false), fromConfigMap("more", "", false)},
			env:  []corev1.EnvVar{plain("B", "$(A)-$(KEY_token)"), plain("MODE", "own")},
			want: []string{"A=3", "MODE=own", "KEY_token=s3cret", "B=3-s3cret"}},
		{name: "values that are no template", from: []corev1.EnvFromSource{fromConfigMap("literal", "", false)},
			env: []corev1.EnvVar{plain("A", "a"), configMapKey("C", "literal", "X", false)}, want: []string{"X=$(A)", "A=a", "C=$(A)"}},
		{name: "keys that cannot be variables", from: []corev1.EnvFromSource{fromSecret("odd", "", false)}, want: []string{"good=1"}, bad: []string{"a=b"}},
		{name: "single keys", env: []corev1.EnvVar{configMapKey("X", "settings", "MODE", false), secretKey("Y", "keys", "token", false)},
			want: []string{"X=fast", "Y=s3cret"}},
		{name: "what may be missing",
			from: []corev1.EnvFromSource{fromConfigMap("none", "", true), fromSecret("none", "", true)},
			env: []corev1.EnvVar{configMapKey("A", "none", "a", true), configMapKey("B", "settings", "b", true),
				secretKey("C", "none", "c", true), secretKey("D", "keys", "d", true), plain("E", "$(A)")},
			want: []string{"E=$(A)"}},
		{name: "a reference to a Service", env: []corev1.EnvVar{plain("URL", "$(DB_SERVICE_HOST)"), plain("DB_SERVICE_PORT", "own")},
			want: []string{"URL=10.0.0.9", "DB_SERVICE_PORT=own"}},
		{name: "fields", env: []corev1.EnvVar{
			fieldOf("NAME", "metadata.name"), fieldOf("NS", "metadata.namespace"), fieldOf("UID", "metadata.uid"),
			fieldOf("APP", "metadata.labels['app']"), fieldOf("NOTE", "metadata.annotations['a/note']"), fieldOf("NONE", "metadata.labels['none']"),
			fieldOf("NODE", "spec.nodeName"), fieldOf("ACCOUNT", "spec.serviceAccountName"),
			fieldOf("IP", "status.podIP"), fieldOf("IPS", "status.podIPs"), fieldOf("HOST", "status.hostIP"),
		}, want: []string{"NAME=a", "NS=default", "UID=uid-a", "APP=web", "NOTE=hi", "NONE=", "NODE=skiff", "ACCOUNT=builder",
			"IP=10.9.8.1", "IPS=10.9.8.1", "HOST=10.9.0.1"}},
		{name: "resources", env: []corev1.EnvVar{
			resourceOf("A", "", "requests.cpu", "0"), resourceOf("B", "web", "requests.cpu", "1m"), resourceOf("C", "", "limits.cpu", "1"),
			resourceOf("D", "", "limits.memory", "1Mi"), resourceOf("E", "", "requests.memory", "0"), resourceOf("F", "other", "limits.memory", "1"),
		}, want: []string{"A=1", "B=250", "C=4", "D=65", "E=0", "F=1000"}},

		{name: "no such ConfigMap", env: []corev1.EnvVar{configMapKey("A", "none", "a", false)}, err: `configmap "none" not found`},
		{name: "no such Secret", from: []corev1.EnvFromSource{fromSecret("none", "", false)}, err: `secret "none" not found`},
		{name: "no such key", env: []corev1.EnvVar{configMapKey("A", "settings", "a", false)}, err: `couldn't find key a in ConfigMap default/settings`},
		{name: "no such key in a Secret", env: []corev1.EnvVar{secretKey("A", "keys", "a", false)}, err: `couldn't find key a in Secret default/keys`},
		{name: "no such container", env: []corev1.EnvVar{resourceOf("A", "none", "limits.cpu", "1")}, err: `container none not found`},
	}
	client := clientfake.NewClientset(
		configMap("settings", map[string]string{"A": "1", "MODE": "fast"}), configMap("more", map[string]string{"A": "3"}),
		configMap("literal", map[string]string{"X": "$(A)"}),
		secret("keys", map[string][]byte{"token": []byte("s3cret")}), secret("odd", map[string][]byte{"a=b": nil, "good": []byte("1")}),
	).CoreV1()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pod := newPodObject("a", "web:1", func(p *corev1.Pod) {
				p.Labels, p.Annotations = map[string]string{"app": "web"}, map[string]string{"a/note": "hi"}
				p.Spec.ServiceAccountName = "builder"
				p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "other"})
				p.Spec.Containers[1].Resources.Limits = quantities("memory", "1000")
			})
			c := &pod.Spec.Containers[0]
			c.EnvFrom, c.Env = tt.from, tt.env
			c.Resources = corev1.ResourceRequirements{Requests: quantities("cpu", "250m"), Limits: quantities("memory", "64.5Mi")}
			e := &environment{
				setup: setup{pod: pod, c: c, facts: facts{
					podIP: netip.MustParseAddr("10.9.8.1"), hostIP: netip.MustParseAddr("10.9.0.1"), allocatable: quantities("cpu", "4", "memory", "8Gi"),
				}},
				objects: objects{client: client, namespace: "default"}, services: services, values: map[string]string{},
			}
			err := e.build(t.Context())
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("error is %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			for _, service := range []string{"DB_SERVICE_HOST=10.0.0.9", "DB_SERVICE_PORT=5432"} {
				if name, _, _ := strings.Cut(service, "="); !strings.Contains(strings.Join(want, "\n"), name+"=") {
					want = append(want, service)
				}
			}
			if diff := cmp.Diff(want, e.list()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.bad, e.bad); diff != "" {
				t.Errorf("bad keys (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceEnvironment(t *testing.T) {
	t.Parallel()
	service := func(namespace, name, ip string, ports ...corev1.ServicePort) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{ClusterIP: ip, Ports: ports}}
	}
	services := []*corev1.Service{
		service("default", "kubernetes", "10.0.0.1", corev1.ServicePort{Name: "https", Port: 443, Protocol: corev1.ProtocolTCP}),
		service("shop", "my-db", "10.0.0.2", corev1.ServicePort{Port: 5432}, corev1.ServicePort{Name: "stats-udp", Port: 99, Protocol: corev1.ProtocolUDP}),
		service("shop", "headless", "None", corev1.ServicePort{Port: 1}),
		service("other", "far", "10.0.0.3", corev1.ServicePort{Port: 2}),
	}
	api := map[string]string{
		"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443", "KUBERNETES_SERVICE_PORT_HTTPS": "443",
		"KUBERNETES_PORT": "tcp://10.0.0.1:443", "KUBERNETES_PORT_443_TCP": "tcp://10.0.0.1:443",
		"KUBERNETES_PORT_443_TCP_PROTO": "tcp", "KUBERNETES_PORT_443_TCP_PORT": "443", "KUBERNETES_PORT_443_TCP_ADDR": "10.0.0.1",
	}
	db := map[string]string{
		"MY_DB_SERVICE_HOST": "10.0.0.2", "MY_DB_SERVICE_PORT": "5432", "MY_DB_PORT": "tcp://10.0.0.2:5432", "MY_DB_SERVICE_PORT_STATS_UDP": "99",
		"MY_DB_PORT_5432_TCP": "tcp://10.0.0.2:5432", "MY_DB_PORT_5432_TCP_PROTO": "tcp", "MY_DB_PORT_5432_TCP_PORT": "5432", "MY_DB_PORT_5432_TCP_ADDR": "10.0.0.2",
		"MY_DB_PORT_99_UDP": "udp://10.0.0.2:99", "MY_DB_PORT_99_UDP_PROTO": "udp", "MY_DB_PORT_99_UDP_PORT": "99", "MY_DB_PORT_99_UDP_ADDR": "10.0.0.2",
	}
	for _, links := range []bool{true, false} {
		want := map[string]string{}
		for name, value := range api {
			want[name] = value
		}
		for name, value := range db {
			if links {
				want[name] = value
			}
		}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, Spec: corev1.PodSpec{EnableServiceLinks: &links}}
		if diff := cmp.Diff(want, serviceEnvironment(pod, services)); diff != "" {
			t.Errorf("with links %t (-want +got):\n%s", links, diff)
		}
	}
}

// A container waits for what its environment comes from, and goes on at once.
func TestMissingConfigMap(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.create(newPodObject("a", "web:1", func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = []corev1.EnvVar{configMapKey("A", "settings", "a", false)}
		}))
		waits := func(message string) func() bool {
			return func() bool {
				states := w.pod("a").Status.ContainerStatuses
				return len(states) == 1 && states[0].State.Waiting != nil && states[0].State.Waiting.Reason == "CreateContainerConfigError" &&
					states[0].State.Waiting.Message == message
			}
		}
		w.until(time.Second, "the ConfigMap is missed", waits(`configmap "settings" not found`))
		w.untilEvent(`Failed: Error: configmap "settings" not found`)
		time.Sleep(time.Hour) // by now it is looked for only rarely
		client := w.client.CoreV1().ConfigMaps("default")
		made, err := client.Create(t.Context(), configMap("settings", nil), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.until(100*time.Millisecond, "the key is missed", waits(`couldn't find key a in ConfigMap default/settings`))
		made.Data = map[string]string{"a": "b"}
		if _, err := client.Update(t.Context(), made, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.until(100*time.Millisecond, "the Pod is ready", func() bool { return ready(w.pod("a")) })
	})
}

// What a container waits for may come while a start that will miss it is under
// way.
func TestMetWhileAStartFails(t *testing.T) {
	t.Parallel()
	p := &pod{s: stateOf(withImage)}
	start := job{opStart, "web"}
	fails := func() *jobState {
		p.end(start, nil, delayed{error: errors.New("not found"), delay: lookAgain})
		return p.s.job(start)
	}
	p.s.job(start).busy = true
	p.reconfigure()
	if js := fails(); !js.retry.IsZero() {
		t.Errorf("it is tried again in %v", time.Until(js.retry))
	}
	p.s.job(start).busy = true
	if js := fails(); js.retry.IsZero() {
		t.Error("it is tried again at once, though nothing has come")
	}
}

func TestResourcesOfAnotherContainer(t *testing.T) {
	t.Parallel()
	limits := func(cpu string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}
	}
	pod := newPodObject("a", "web:1", func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources = limits("2")
		p.Spec.InitContainers = []corev1.Container{{Name: "prepare", Resources: limits("3")}}
	})
	for name, want := range map[string]string{"": "2", "web": "2", "prepare": "3", "none": "container none not found"} {
		got, err := facts{allocatable: corev1.ResourceList{}}.resource(pod, &pod.Spec.Containers[0], &corev1.ResourceFieldSelector{ContainerName: name, Resource: "limits.cpu"})
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("of container %q: %s, want %s", name, got, want)
		}
	}
}
