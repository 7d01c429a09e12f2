package orchestrator_test

import (
	"context"
	"net"
	"os/exec"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"skiff/examples/load"
	"skiff/examples/load/loadtest"
	"skiff/orchestrator/skifftest"
)

// clusterIP creates a Service that is reached from inside only and gives the
// address of its first port. The host reaches it as Pods do: the bridge of the
// instance's network is the host's.
func clusterIP(t *testing.T, i *skifftest.Instance, portName string) string {
	t.Helper()
	svc := nodePort("web", portName)
	svc.Spec.Type = corev1.ServiceTypeClusterIP
	svc, err := i.Client.CoreV1().Services(skifftest.Namespace).Create(t.Context(), svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(svc.Spec.ClusterIP, "80")
}

// TestZeroLossInside is TestZeroLoss through the gateway: what goes to a
// ClusterIP is no more lost than what comes from the host.
func TestZeroLossInside(t *testing.T) {
	images(t)
	for name, d := range map[string]*appsv1.Deployment{
		"rolling, 3 replicas": web(3, drain("1")),
		"recreate, 1 replica": web(1, recreate, drain("1")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := skifftest.New(t)
			i.Deploy(t, d)
			rollUnder(t, i, clusterIP(t, i, "http"), func(c *loadtest.Clients, address string) {
				c.Load("requests", load.Options{Address: address, Rate: 100, Fresh: 0.5, Conns: 16})
				c.Load("slow requests", load.Options{Address: address, Path: "/slow?d=2s", Body: "slow", Rate: 2, Conns: 8})
				c.Run("WebSocket", func(ctx context.Context) error { return webSocket(ctx, c, address) })
				c.Run("events", func(ctx context.Context) error { return events(ctx, c, address) })
			})
		})
	}
}

// A Pod finds a Service by its name and asks it through ten updates, on
// connections that it keeps and on new ones, each with a look-up of the name.
func TestZeroLossByName(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t)
	i.Deploy(t, web(3, drain("1")))
	clusterIP(t, i, "http")
	i.Deploy(t, client("http://web"))
	address := podAddress(t, i, "app=client")
	waitAnswer(t, address+"/backend?fresh=true")
	rollUnder(t, i, address+"/backend", func(c *loadtest.Clients, _ string) {
		c.Load("kept", load.Options{Address: address, Path: "/backend", Rate: 50, Conns: 8})
		c.Load("fresh", load.Options{Address: address, Path: "/backend?fresh=true", Rate: 50, Conns: 8})
	})
}

// client is a Pod of examples/web that asks another server.
func client(backend string) *appsv1.Deployment {
	labels := map[string]string{"app": "client"}
	d := web(1, setEnv("BACKEND", backend), setEnv("LATENCY", "0s"))
	d.Name, d.Spec.Selector.MatchLabels, d.Spec.Template.Labels = "client", labels, labels
	return d
}

// podAddress is where a Pod answers, which the host can ask past any Service.
func podAddress(t *testing.T, i *skifftest.Instance, selector string) string {
	t.Helper()
	pods := i.WaitPods(t, selector, func(pods []corev1.Pod) bool { return len(pods) == 1 && pods[0].Status.PodIP != "" })
	return net.JoinHostPort(pods[0].Status.PodIP, "8080")
}

// What Pods do does not hang on the daemon: it ends and comes back under load,
// and requests in flight and kept connections go on.
func TestDaemonGoneUnderLoad(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t)
	i.Deploy(t, web(2, drain("1")))
	address := clusterIP(t, i, "http")
	waitAnswer(t, address)
	c := loadtest.New(t)
	c.Load("requests", load.Options{Address: address, Rate: 200, Fresh: 0.5, Conns: 16})
	c.Load("slow requests", load.Options{Address: address, Path: "/slow?d=2s", Body: "slow", Rate: 2, Conns: 8})
	c.WaitVersion(t, "1")
	now := i
	for round := range 3 {
		if err := now.Stop(); err != nil {
			t.Fatal(err)
		}
		seen := c.Answers()
		eventually(t, "requests are answered without a daemon", func() bool { return c.Answers() > seen+100 })
		now = skifftest.Start(t, i.Options)
		t.Cleanup(func() { _ = now.Stop() })
		now.Update(t, "web", version(round%2+2)) // and it is in charge again
		now.WaitRollout(t, "web")
	}
	c.Stop(t)
}

// A gateway that dies is there again at once, with all it had, and what has to
// wait for its word does not wait for one that is dead.
func TestGatewayDies(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t)
	i.Deploy(t, web(2, drain("1")))
	address := clusterIP(t, i, "http")
	waitAnswer(t, address)
	for range 3 {
		i.Update(t, "web", setEnv("ROUND", time.Now().String()))
		out, err := exec.Command("docker", "kill", "skiff-gateway-"+i.Options.Name).CombinedOutput()
		if err != nil {
			t.Fatalf("kill the gateway: %v: %s", err, out)
		}
		began := time.Now()
		waitAnswer(t, address)
		t.Logf("answers again after %s", time.Since(began))
		i.WaitRollout(t, "web")
	}
	if out, err := exec.Command("docker", "rm", "-f", "skiff-gateway-"+i.Options.Name).CombinedOutput(); err != nil {
		t.Fatalf("remove the gateway: %v: %s", err, out)
	}
	waitAnswer(t, address)
}

// A gateway that is cut off is made again: nobody has to notice and restart.
func TestGatewayCutOff(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t)
	i.Deploy(t, web(1, drain("1")))
	address := clusterIP(t, i, "http")
	waitAnswer(t, address)
	name := "skiff-gateway-" + i.Options.Name
	for _, injury := range []string{"pause " + name, "network disconnect -f skiff-" + i.Options.Name + " " + name} {
		dockerDo(t, injury)
		began := time.Now()
		waitAnswer(t, address)
		t.Logf("%s: answers again after %s", injury, time.Since(began))
		i.Update(t, "web", setEnv("ROUND", injury))
		i.WaitRollout(t, "web")
	}
}

// Pods reach the API at its Service, by TLS that is good for its name.
func TestAPIFromInside(t *testing.T) {
	t.Parallel()
	i := skifftest.New(t)
	svc, err := i.Client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.CopyConfig(i.Config)
	config.Host = "https://kubernetes.default.svc"
	config.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, net.JoinHostPort(svc.Spec.ClusterIP, "443"))
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the API answers", func() bool {
		_, err = client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		return err == nil
	})
	// A watch is a stream that goes on.
	w, err := client.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "seen"}}
	if _, err := i.Client.CoreV1().ConfigMaps("default").Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for event := range w.ResultChan() {
		if got, ok := event.Object.(*corev1.ConfigMap); ok && got.Name == "seen" {
			break
		}
	}
	// Who has no certificate of the user's is refused, from inside as from outside.
	config.CertData, config.KeyData = nil, nil
	client, err = kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("the API answers somebody without a certificate")
	}
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			t.Fatalf("did not come about: %s", what)
		case <-tick.C:
		}
	}
}
