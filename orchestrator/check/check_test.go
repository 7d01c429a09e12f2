package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skiff/orchestrator/manifest"
)

// whole is a Deployment about which there is nothing to say.
const whole = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 3
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: registry.example.com/me/web:1
        resources: {requests: {cpu: 10m}}
        readinessProbe: {tcpSocket: {port: 80}}
        lifecycle: {preStop: {sleep: {seconds: 5}}}
        ports: [{containerPort: 80}]
`

func TestManifests(t *testing.T) {
	t.Parallel()
	const container = "spec.template.spec.containers[0]"
	spoil := func(old, by string) string {
		if !strings.Contains(whole, old) {
			t.Fatalf("no %q to spoil", old)
		}
		return strings.Replace(whole, old, by, 1)
	}
	service := func(selector, target string) string {
		return "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {" + selector + "},\n  ports: [{port: 80, targetPort: " + target + "}]}\n"
	}
	fields := func(name, spec string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {" + spec + ",\n  ports: [{port: 80}]}\n"
	}
	slice := "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\n" +
		"addressType: IPv4\nendpoints: [{addresses: [192.0.2.1]}]\n"
	nodePort := func(name, port string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec:\n  type: NodePort\n  ports: [{port: 80, nodePort: " + port + "}]\n"
	}
	const here = ": cluster: spec.type: here it listens on the loopback address; on a cluster on every address of every node\n"
	ingress := func(port string) string {
		return "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {rules: [{http: {paths: [{path: /, pathType: Prefix,\n" +
			"  backend: {service: {name: web, port: {" + port + "}}}}]}}]}\n"
	}
	claim := func(class string) string {
		return "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec:\n  accessModes: [ReadWriteOnce]\n  storageClassName: " + class +
			"\n  resources: {requests: {storage: 1Gi}}\n"
	}
	tests := []struct{ name, text, want string }{
		{"nothing", whole, ""},
		{"an unknown field", spoil("  replicas: 3", "  replica: 3"), "5: cluster: spec.replicas: with one replica, a node that is drained or fails is an outage\n" +
			`6: refused: spec.replica: unknown field "replica" (did you mean "replicas"?)`},
		{"an unknown field and one that is refused", strings.Replace(spoil("  replicas: 3", "  replicas: 3\n  minReady: 1"), "    spec:", "    spec:\n      runtimeClassName: gv", 1),
			`7: refused: spec.minReady: unknown field "minReady"
14: refused: spec.template.spec.runtimeClassName: Forbidden: not supported by skiff yet`},
		{"a value that is refused", spoil("replicas: 3", "replicas: -3"), "6: refused: spec.replicas: Invalid value: -3: must be greater than or equal to 0"},
		{"a name that is refused", spoil("  name: web\nspec", "  name: Web_1\nspec"), "4: refused: metadata.name: Invalid value: \"Web_1\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"},
		{"a kind that is not served", "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\n", `2: refused: kind: skiff does not serve kind "StatefulSet" of apps/v1`},
		{"an old version", spoil("apiVersion: apps/v1", "apiVersion: extensions/v1beta1"), `2: refused: kind: skiff does not serve kind "Deployment" of extensions/v1beta1; it is served as apiVersion: apps/v1`},
		{"what is likely a mistake", spoil("[{containerPort: 80}]", "[{containerPort: 80}, {containerPort: 80}]"),
			"19: warning: " + container + ".ports[1]: duplicate port definition with " + container + ".ports[0]"},
		{"a label where there may be no SELinux", whole + "      securityContext: {seLinuxOptions: {level: s0}}\n",
			"20: warning: spec.template.spec.securityContext.seLinuxOptions: has no effect unless the container engine uses SELinux"},
		{"another class of Ingress", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec:\n  rules: [{host: a.test}]\n  ingressClassName: nginx\n",
			`6: warning: spec.ingressClassName: "nginx" is served only where an IngressClass of that name has the controller skiff.dev/ingress; leave it out to be served by skiff`},
		{"another class by its annotation", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: web\n  annotations:\n    kubernetes.io/ingress.class: nginx\nspec: {rules: [{host: a.test}]}\n",
			"6: warning: metadata.annotations[kubernetes.io/ingress.class]: deprecated; use spec.ingressClassName instead\n" +
				`6: warning: metadata.annotations[kubernetes.io/ingress.class]: "nginx" is served only where an IngressClass of that name has the controller skiff.dev/ingress; leave it out to be served by skiff`},
		{"a class of storage that there is", claim("standard"), ""},
		{"another class of storage", claim("gp2"), `6: warning: spec.storageClassName: there is no class "gp2", so that the claim stays Pending; leave it out to get a volume`},
		{"no class of storage", claim("''"), `6: warning: spec.storageClassName: there is no class "", so that the claim stays Pending; leave it out to get a volume`},
		{"a Service of its Pods", whole + service("app: web", "80"), ""},
		{"a Service of no Pods", whole + service("app: wbe", "80"),
			"24: warning: spec.selector: no Pod of these manifests has these labels; those of deployment web have app=web"},
		{"a Service of another namespace's Pods", spoil("  name: web\nspec", "  name: web\n  namespace: other\nspec") + service("app: wbe", "80"), ""},
		{"a port that no Pod has", whole + service("app: web", "http"), `25: warning: spec.ports[0].targetPort: no TCP port of deployment web is named "http"`},
		{"a port that a Pod has", spoil("{containerPort: 80}", "{name: http, containerPort: 80}") + service("app: web", "http"), ""},
		{"a port that a Pod has for UDP", spoil("{containerPort: 80}", "{name: http, containerPort: 80, protocol: UDP}") + service("app: web", "http"),
			`25: warning: spec.ports[0].targetPort: no TCP port of deployment web is named "http"`},
		{"a Service without Pods", strings.TrimPrefix(service("app: web", "http"), "---\n"), ""},
		{"an Ingress of its Service", whole + service("app: web", "80") + ingress("number: 80"), ""},
		{"an Ingress of another port", whole + service("app: web", "80") + ingress("number: 8080"),
			"31: warning: spec.rules[0].http.paths[0].backend.service.port: service web has no port 8080"},
		{"an Ingress of no such port", whole + service("app: web", "80") + ingress("name: http"),
			`31: warning: spec.rules[0].http.paths[0].backend.service.port: service web has no port "http"`},
		{"an Ingress of somebody's Service", strings.TrimPrefix(ingress("number: 8080"), "---\n"), ""},
		{"an Ingress of a headless Service", fields("web", "clusterIP: None") + ingress("number: 80"),
			"11: warning: spec.rules[0].http.paths[0].backend.service.name: service web is headless: it has no ports to forward to, and requests are answered 503"},
		{"an Ingress of an external name", fields("web", "type: ExternalName, externalName: a.example") + ingress("number: 80"),
			"11: warning: spec.rules[0].http.paths[0].backend.service.name: service web is an external name, which skiff does not forward to: requests are answered 503"},
		{"a node port out of range", nodePort("web", "80"),
			"5" + here + "6: refused: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767"},
		{"two node ports", nodePort("a", "30080") + "---\n" + nodePort("b", "30081"), "5" + here + strings.TrimSuffix("12"+here, "\n")},
		{"a node port of another version of the Service", nodePort("a", "30080") + "---\n" + nodePort("a", "30080"), "5" + here + strings.TrimSuffix("12"+here, "\n")},
		{"a node port of another Service", nodePort("a", "30080") + "---\n" + nodePort("b", "30080"),
			"5" + here + "12" + here + "13: refused: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"},
		{"a slice of a Service without a selector", fields("web", "type: ClusterIP") + slice, ""},
		{"a slice of a Service with one", whole + service("app: web", "80") + slice,
			"31: warning: endpoints: count only while Service \"web\" has no selector; one that has leads to the Pods that it selects"},
		{"an address of an instance", fields("web", "clusterIP: 10.96.0.20"),
			"4: warning: spec.clusterIP: each instance, and each cluster, has a range of its own and refuses other addresses; leave it out to be given one"},
		{"one replica", spoil("replicas: 3", "replicas: 1"), "6: cluster: spec.replicas: with one replica, a node that is drained or fails is an outage"},
		{"as many replicas as nobody says", spoil("  replicas: 3\n", ""), "5: cluster: spec.replicas: with one replica, a node that is drained or fails is an outage"},
		{"Recreate", spoil("  replicas: 3", "  replicas: 3\n  strategy: {type: Recreate}"), "7: cluster: spec.strategy.type: here requests wait during an update; on a cluster they fail"},
		{"no registry", spoil("registry.example.com/me/web:1", "me/web:1"), "15: cluster: " + container + ".image: it is pulled from docker.io/me/web; an image of your own must be pushed to a registry"},
		{"the Docker Hub by name", spoil("registry.example.com/me/web:1", "docker.io/me/web:1"), ""},
		{"latest", spoil("web:1", "web:latest"), "15: cluster: " + container + ".image: what :latest is changes from pull to pull, so that undo may not bring back what ran before; name a version"},
		{"no tag", spoil("web:1", "web"), "15: cluster: " + container + ".image: what :latest is changes from pull to pull, so that undo may not bring back what ran before; name a version"},
		{"a digest", spoil("web:1", "web@sha256:"+strings.Repeat("a", 64)), ""},
		{"no pull", spoil("        ports:", "        imagePullPolicy: Never\n        ports:"), "19: cluster: " + container + ".imagePullPolicy: nodes do not have images of their own"},
		{"no requests", spoil("        resources: {requests: {cpu: 10m}}\n", ""), "14: cluster: " + container + ": without resources.requests it is placed on any node and the first to be evicted"},
		{"no probe", spoil("        readinessProbe: {tcpSocket: {port: 80}}\n", ""), "14: cluster: " + container + ": without a readinessProbe requests reach it as soon as it starts"},
		{"no preStop", spoil("        lifecycle: {preStop: {sleep: {seconds: 5}}}\n", ""), "14: cluster: " + container + ": it gets SIGTERM while requests still arrive, unless it has preStop: {sleep: {seconds: 5}}"},
		{"a preStop that fails", spoil("{sleep: {seconds: 5}}", "{tcpSocket: {port: 80}}"),
			"14: cluster: " + container + ": it gets SIGTERM while requests still arrive, unless it has preStop: {sleep: {seconds: 5}}\n" +
				"18: warning: " + container + ".lifecycle.preStop.tcpSocket: such a hook fails whenever it runs, in Kubernetes as in skiff, and its container ends without it"},
		{"a port of the host", spoil("{containerPort: 80}", "{containerPort: 80, hostPort: 80}"),
			"19: cluster: " + container + ".ports[0].hostPort: here it is a port of the loopback address; on a cluster it is one of every address of the Pod's node. Of two Pods with it, one waits: an update needs maxUnavailable of at least 1, or strategy type Recreate"},
		{"a port in the host's network", spoil("{containerPort: 80}", "{containerPort: 80, hostPort: 80}") + "      hostNetwork: true\n",
			"19: cluster: " + container + ".ports[0].hostPort: here it is a port of this machine, on a cluster of the Pod's node. Of two Pods with it, one waits: an update needs maxUnavailable of at least 1, or strategy type Recreate"},
		{"a folder of the host", whole + "      volumes: [{name: data, hostPath: {path: /srv}}]\n",
			"20: cluster: spec.template.spec.volumes[0].hostPath: it is a folder of whichever node the Pod is on; data that is to stay with it needs a PersistentVolumeClaim"},
		{"a Pod", "apiVersion: v1\nkind: Pod\nmetadata: {generateName: job-}\nspec:\n  containers: [{name: job, image: r.example.com/job:1, resources: {requests: {cpu: 1}}}]\n",
			"2: cluster: kind: a Pod without a Deployment is not replaced when its node goes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			docs, broken, err := manifest.Read(t.Context(), manifest.Options{Files: []string{"-"}, Stdin: strings.NewReader(test.text)})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range Manifests(docs, broken) {
				got = append(got, strings.TrimPrefix(f.String(), "stdin:"))
			}
			if diff := cmp.Diff(test.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
