package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/receipt"
	"skiff/orchestrator/skifftest"
)

// receiptWeb is the example with a Pod that asks it by name, and with time for
// what is in flight: the test says when that ends.
func receiptWeb(t *testing.T, version string) string {
	text := webManifest(t)
	for _, change := range [][2]string{
		{"      labels:\n        app: web\n    spec:\n", "      labels:\n        app: web\n      annotations:\n        skiff.dev/drain-seconds: \"1\"\n    spec:\n      terminationGracePeriodSeconds: 120\n"},
		{"        env:\n", "        env:\n        - name: VERSION\n          value: \"" + version + "\"\n"},
		{"  replicas: 3\n", "  replicas: 2\n"},
	} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("the example has no lines %q", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	return text + `---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: client
spec:
  selector:
    matchLabels:
      app: client
  template:
    metadata:
      labels:
        app: client
    spec:
      containers:
      - name: client
        image: skiff-example/web:1
        env:
        - name: BACKEND
          value: http://web
        readinessProbe:
          httpGet:
            path: /healthz
            port: 8080
`
}

// TestReceipt: what a rollout's receipt says is what its clients saw, wherever
// it is read, and what the metrics say.
func TestReceipt(t *testing.T) {
	t.Parallel()
	i := start(t)
	out := must(t, i.skiff, "apply", "--wait", "-f", i.write(t, "one.yaml", receiptWeb(t, "1")))
	if !receipts.MatchString(out) || !strings.Contains(out, "\nweb 1 | ") {
		t.Errorf("apply --wait: %s", out)
	}
	out = must(t, i.skiff, "apply", "--wait", "-f", i.write(t, "one.yaml", receiptWeb(t, "1")))
	if receipts.MatchString(out) {
		t.Errorf("apply --wait of the same: %s", out)
	}
	l := &asking{t: t, web: i.nodePort(t, "web"), versions: map[string]int{}}
	l.client = i.podAddress(t, "app=client")
	l.ask(l.web, "/")
	l.ask(l.client, "/backend")
	before := i.requestsTo(t, "web")

	request := l.begin()
	socket := l.webSocket()
	// Both were counted before the rollout or count at their end.
	atBegin := i.requestsTo(t, "web")
	l.asked = 0
	must(t, i.skiff, "apply", "-f", i.write(t, "two.yaml", receiptWeb(t, "2")))
	i.receiptOf(t, "web", "2", func(r receipt.Receipt) bool { return true })
	var asking sync.WaitGroup
	for n := range 4 {
		asking.Go(func() {
			for at := 0; at < 50 || !l.saw("2"); at++ {
				l.ask(l.web, "/")
				if n == 0 {
					l.ask(l.client, "/backend")
				}
			}
		})
	}
	asking.Wait()
	if _, _, err := socket.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("the WebSocket ended with %v", err)
	}
	request()

	status := must(t, i.skiff, "rollout", "status", "deployment/web")
	r := i.receiptOf(t, "web", "2", func(r receipt.Receipt) bool { return r.Ended != nil })
	if int(r.Requests) != l.asked || r.Lost != 0 || r.From != 1 || r.Drained["ws"] != 1 || len(r.Cut) != 0 || r.Partial || r.P99Millis <= 0 {
		t.Errorf("%d were asked; the receipt: %s", l.asked, r)
	}
	if after := i.requestsTo(t, "web"); after-atBegin != float64(r.Requests) || before == 0 {
		t.Errorf("/metrics: %v before all, %v when the rollout began, %v at its end; the receipt: %s", before, atBegin, after, r)
	}
	if !strings.HasSuffix(status, "successfully rolled out\n"+r.String()+"\n") {
		t.Errorf("rollout status: %s; want the receipt %s", status, r)
	}
	i.api(t).WaitEvent(t, "RolloutReceipt", r.String())
	history := must(t, i.skiff, "rollout", "history", "deployment/web")
	if found := receipts.FindAllString(history, -1); len(found) != 2 || found[1] != r.String()+"\n" {
		t.Errorf("rollout history: %s; want the receipt %s", history, r)
	}
}

// asking counts what is asked of web, from outside and from a Pod.
type asking struct {
	t           *testing.T
	web, client string

	mu       sync.Mutex
	asked    int
	versions map[string]int
}

func (l *asking) ask(address, path string) {
	res, err := http.Get("http://" + address + path)
	if err != nil {
		l.t.Error(err)
		return
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusOK {
		l.t.Errorf("%s: %v", res.Status, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	l.versions[res.Header.Get("X-Version")]++
}

func (l *asking) saw(version string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.versions[version] > 0
}

// begin has a request in flight; end ends it.
func (l *asking) begin() (end func()) {
	l.t.Helper()
	body, more := io.Pipe()
	sent := strings.Repeat("x", 64<<10) // more than the application keeps before it answers
	wrote := make(chan error, 1)
	go func() {
		_, err := io.WriteString(more, sent)
		wrote <- err
	}()
	res, err := http.Post("http://"+l.web+"/echo", "text/plain", body)
	if err != nil {
		l.t.Fatal(err)
	}
	return func() {
		l.t.Helper()
		if err := errors.Join(<-wrote, more.Close()); err != nil {
			l.t.Error(err)
		}
		text, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil || string(text) != sent {
			l.t.Errorf("the request in flight: %d bytes, %v", len(text), err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asked++
	}
}

func (l *asking) webSocket() *websocket.Conn {
	l.t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+l.web+"/ws", nil)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	if err := conn.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		l.t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); err != nil {
		l.t.Fatal(err)
	}
	return conn
}

// podAddress is where the only Pod of an application answers, which the host can
// ask past any Service.
func (i *instance) podAddress(t *testing.T, selector string) string {
	t.Helper()
	pods := i.api(t).WaitPods(t, selector, func(pods []corev1.Pod) bool { return len(pods) == 1 && pods[0].Status.PodIP != "" })
	return net.JoinHostPort(pods[0].Status.PodIP, "8080")
}

// receiptOf waits until a revision's ReplicaSet has such a receipt.
func (i *instance) receiptOf(t *testing.T, deployment, revision string, is func(receipt.Receipt) bool) (r receipt.Receipt) {
	t.Helper()
	client := i.api(t).Client.AppsV1().ReplicaSets(skifftest.Namespace)
	eventually(t, func() error {
		sets, err := client.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, rs := range sets.Items {
			owner := metav1.GetControllerOf(&rs)
			if owner == nil || owner.Name != deployment || rs.Annotations["deployment.kubernetes.io/revision"] != revision {
				continue
			}
			return readReceipt(&rs, &r, is)
		}
		return errors.New("there is no such revision")
	})
	return r
}

func readReceipt(rs *appsv1.ReplicaSet, r *receipt.Receipt, is func(receipt.Receipt) bool) error {
	*r = receipt.Receipt{}
	text := rs.Annotations["skiff.dev/rollout-receipt"]
	if err := json.Unmarshal([]byte(text), r); err != nil {
		return fmt.Errorf("receipt %q: %w", text, err)
	}
	if !is(*r) {
		return fmt.Errorf("the receipt is %s", text)
	}
	return nil
}

// requestsTo adds up what the metrics say of the requests to a Service.
func (i *instance) requestsTo(t *testing.T, service string) (n float64) {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(must(t, i.skiff, "get", "--raw", "/metrics")))
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range families["skiff_service_requests_total"].GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() == "service" && label.GetValue() == service {
				n += metric.GetCounter().GetValue()
			}
		}
	}
	return n
}
