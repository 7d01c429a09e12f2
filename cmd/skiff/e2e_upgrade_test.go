package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/examples/load"
	"skiff/orchestrator/skifftest"
)

var upgraded = regexp.MustCompile(`^upgraded skiff \S+ → \S+ in [0-9.]+ s, (\d+) listeners handed over \(process (\d+) → (\d+)\)\n$`)

// upgrade has another process take over and gives the numbers of both.
func (i *instance) upgrade(t *testing.T) (before, after int) {
	t.Helper()
	r := i.tryUpgrade(t)
	if r.code != 0 {
		t.Fatalf("upgrade: %v", r)
	}
	out := r.out
	said := upgraded.FindStringSubmatch(out)
	if said == nil {
		t.Fatalf("upgrade says %q", out)
	}
	t.Log(strings.TrimSpace(out))
	listeners, _ := strconv.Atoi(said[1])
	before, _ = strconv.Atoi(said[2])
	after, _ = strconv.Atoi(said[3])
	if listeners < 2 || before == after {
		t.Errorf("nothing was handed over: %s", out)
	}
	i.runsAs(t, after)
	return before, after
}

// tryUpgrade asks for an upgrade, and again where the daemon has only just begun
// or gone on, and so is not ready to be asked.
func (i *instance) tryUpgrade(t *testing.T, args ...string) (r result) {
	t.Helper()
	eventually(t, func() error {
		if r = try(t, i.skiff, append([]string{"upgrade"}, args...)...); strings.Contains(r.err, "about to start") {
			return errors.New(r.err)
		}
		return nil
	})
	return r
}

// runsAs checks that a process holds the instance, so that no other can.
func (i *instance) runsAs(t *testing.T, process int) {
	t.Helper()
	if pid, err := i.paths().Running(); err != nil || pid != process {
		t.Errorf("process %d runs the instance instead of %d: %v", pid, process, err)
	}
	if out := must(t, i.skiff, "up", "-d"); out != fmt.Sprintf("skiff is already running (process %d)\n", process) {
		t.Errorf("a second daemon was not refused: %s", out)
	}
}

// alive says whether a process has not ended, whoever is to bury it.
func alive(process int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func waitEnded(t *testing.T, process int) {
	t.Helper()
	eventually(t, func() error {
		if alive(process) {
			return fmt.Errorf("process %d has not ended", process)
		}
		return nil
	})
}

// expose gives the addresses, on the host and inside, of another Service of the
// example, which is forwarded as its port's name says.
func (i *instance) expose(t *testing.T, name, portName string) (host, inside string) {
	t.Helper()
	svc := i.serve(t, corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"},
			Ports:    []corev1.ServicePort{{Name: portName, Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	})
	return onHost(svc), net.JoinHostPort(svc.Spec.ClusterIP, "80")
}

// serve makes a Service that is reached from the host.
func (i *instance) serve(t *testing.T, svc corev1.Service) *corev1.Service {
	t.Helper()
	svc.Spec.Type = corev1.ServiceTypeNodePort
	made, err := i.api(t).Client.CoreV1().Services("default").Create(t.Context(), &svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// onHost is where the first port of a Service is reached.
func onHost(svc *corev1.Service) string {
	return fmt.Sprintf("127.0.0.1:%d", svc.Spec.Ports[0].NodePort)
}

const doorManifest = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: door}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}`

// door gives the address at which an Ingress leads every request to the example.
func (i *instance) door(t *testing.T) string {
	t.Helper()
	must(t, i.skiff, "create", "-f", i.write(t, "door.yaml", doorManifest))
	address := i.doorAt(t)
	i.answers(t, address)
	return address
}

// doorAt is where the Ingress door is served.
func (i *instance) doorAt(t *testing.T) (address string) {
	t.Helper()
	eventually(t, func() error {
		in, err := i.api(t).Client.NetworkingV1().Ingresses("default").Get(t.Context(), "door", metav1.GetOptions{})
		if err != nil {
			return err
		}
		at := in.Status.LoadBalancer.Ingress
		if len(at) == 0 {
			return errors.New("the Ingress has no address")
		}
		address = fmt.Sprintf("%s:%d", at[0].IP, at[0].Ports[0].Port)
		return nil
	})
	return address
}

// users use the instance in every way until they are stopped.
type users struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex // guards what follows
	loads map[string]*load.Result
	errs  []error
}

func newUsers(t *testing.T) (*users, context.Context) {
	ctx, cancel := context.WithCancel(t.Context())
	u := &users{cancel: cancel, loads: map[string]*load.Result{}}
	t.Cleanup(func() { cancel(); u.wg.Wait() })
	return u, ctx
}

func (u *users) load(ctx context.Context, name string, o load.Options) {
	u.wg.Go(func() {
		r := load.Run(ctx, o, func(load.Sample) {})
		u.mu.Lock()
		defer u.mu.Unlock()
		u.loads[name] = r
	})
}

func (u *users) run(ctx context.Context, name string, f func(context.Context) error) {
	u.wg.Go(func() {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.errs = append(u.errs, fmt.Errorf("%s: %w", name, err))
		}
	})
}

func (u *users) stop(t *testing.T) {
	t.Helper()
	u.cancel()
	u.wg.Wait()
	for name, r := range u.loads {
		t.Logf("%s: %d, longest wait %v, longest gap %v, by version %v", name, r.Requests(), r.Quantile(1), r.LongestGap(), r.ByVersion())
		if r.Requests() == 0 {
			t.Errorf("%s: none", name)
		}
		for n, s := range r.Failures() {
			t.Errorf("%s: failed at %s after %v: %v", name, s.Due.Format("15:04:05.000"), s.Wait, s.Err)
			if n == 10 {
				break
			}
		}
	}
	for _, err := range u.errs {
		t.Error(err)
	}
}

// startUsers begins with everything that an upgrade must not hurt.
func (i *instance) startUsers(t *testing.T, web, tcp, inside, door string) *users {
	u, ctx := newUsers(t)
	u.load(ctx, "kept", load.Options{Address: web, Rate: 60, Conns: 16})
	u.load(ctx, "fresh", load.Options{Address: web, Rate: 60, Fresh: 1})
	u.load(ctx, "bodies", load.Options{Address: web, Path: "/echo", Body: strings.Repeat("0123456789abcdef", 1024), Rate: 20, Conns: 4})
	u.load(ctx, "slow", load.Options{Address: web, Path: "/slow?d=2s", Body: "slow", Rate: 2, Conns: 8})
	u.load(ctx, "TCP", load.Options{Address: tcp, Rate: 40, Fresh: 1})
	u.load(ctx, "inside", load.Options{Address: inside, Rate: 40, Fresh: 0.5, Conns: 4})
	u.load(ctx, "Ingress", load.Options{Address: door, Rate: 40, Fresh: 0.5, Conns: 4})
	client := i.api(t).Client
	u.run(ctx, "API", func(ctx context.Context) error {
		for n := 0; ctx.Err() == nil; n++ {
			cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("written-%d", n)}}
			if _, err := client.CoreV1().ConfigMaps("default").Create(ctx, cm, metav1.CreateOptions{}); err != nil {
				return err
			}
			if _, err := client.CoreV1().ConfigMaps("default").Get(ctx, cm.Name, metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	return u
}

// chat opens a WebSocket and talks on it. say fails once it has ended.
func chat(t *testing.T, address string) (say func(string) error) {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+address+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func(text string) error {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		failed := conn.WriteMessage(websocket.TextMessage, []byte(text))
		_, got, err := conn.ReadMessage()
		switch {
		case err != nil: // a goodbye that has arrived makes the writing fail, too
			return err
		case failed != nil:
			return failed
		case !strings.HasSuffix(string(got), " "+text):
			return fmt.Errorf("said %q, heard %q", text, got)
		}
		return nil
	}
}

// hold keeps one connection and asks on it.
func hold(t *testing.T, address string) (ask func() error, end func()) {
	t.Helper()
	transport := &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}
	var dials int
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; dials > 1 {
			return nil, errors.New("the connection was closed")
		}
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	ask = func() error {
		answer, err := (&http.Client{Transport: transport, Timeout: patience}).Get("http://" + address)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	return ask, transport.CloseIdleConnections
}

// ownGatewayProgram gives the instance a copy of the gateway's program, and says
// where it is.
func (i *instance) ownGatewayProgram(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(skifftest.GatewayProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(i.work, "skiff-gateway")
	if err := os.WriteFile(path, content, 0o700); err != nil {
		t.Fatal(err)
	}
	i.env = append(i.env, "SKIFF_GATEWAY_PROGRAM="+path)
	return path
}

// change makes a program another version, as far as one can tell from outside.
func change(t *testing.T, program string) {
	t.Helper()
	f, err := os.OpenFile(program, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("another version")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestUpgrade replaces the daemon twice in a row, once by one with another
// gateway, and then rolls out while both that went before still have
// connections. Nobody may notice.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	program := i.ownGatewayProgram(t)
	must(t, i.skiff, "up", "-d", "--listen", "127.0.0.1:0", "--ingress", "0,0") // where the next one does not look for it
	web := i.deployWeb(t)
	tcp, _ := i.expose(t, "raw", "tcp")
	i.answers(t, tcp)
	_, inside := i.expose(t, "inner", "http")
	i.answers(t, inside)
	door := i.door(t)
	u := i.startUsers(t, web, tcp, inside, door)
	watched := make(chan result, 1)
	go func() { watched <- finish(t, i.skiff(t.Context(), "get", "pods", "--watch")) }()

	first := chat(t, web)
	ask, endTCP := hold(t, tcp)
	askInside, endInside := hold(t, inside)
	if err := first("one"); err != nil {
		t.Fatal(err)
	}
	i.keepsOn(t, door, "dies")
	one, two := i.upgrade(t)
	second := chat(t, web)
	if err := errors.Join(first("two"), second("two"), ask(), askInside()); err != nil {
		t.Errorf("after the first upgrade: %v", err)
	}
	change(t, program)
	also, three := i.upgrade(t)
	if also != two {
		t.Errorf("process %d handed over instead of %d", also, two)
	}
	if err := errors.Join(first("three"), second("three"), ask(), askInside()); err != nil {
		t.Errorf("after the second upgrade: %v", err)
	}
	if !alive(one) || !alive(two) {
		t.Error("a process with connections has ended")
	}
	endTCP()
	endInside()
	if r := <-watched; !strings.Contains(r.err, "the server ended the watch") {
		t.Errorf("a watch did not end well: %v", r)
	}

	must(t, i.skiff, "set", "image", "deployment/web", "web=skiff-example/web:2")
	must(t, i.skiff, "rollout", "status", "deployment/web")
	for _, say := range []func(string) error{first, second} {
		var err error
		eventually(t, func() error {
			if err = say("four"); err == nil {
				return errors.New("a WebSocket whose Pod is to go has not ended")
			}
			return nil
		})
		if !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
			t.Errorf("a WebSocket whose Pod has gone ended with %v", err)
		}
	}
	i.keepsOn(t, door, "absent", "ends", "silent", "astray", "hesitates")
	u.stop(t)
	waitEnded(t, one)
	waitEnded(t, two)
	i.runsAs(t, three) // the lock outlives those that had it first
	i.owned(t)

	// And the end of the one that runs is the end of all.
	last := chat(t, web)
	_, four := i.upgrade(t)
	if err := last("five"); err != nil {
		t.Error(err)
	}
	must(t, i.skiff, "down")
	waitEnded(t, four)
	waitEnded(t, three)
	if left := i.running(t); len(left) > 0 {
		t.Errorf("still run after the end: %v", left)
	}
}

// keepsOn has upgrades fail in some ways, after each of which the one that runs
// goes on, and serves the Ingress door where it was.
func (i *instance) keepsOn(t *testing.T, door string, ways ...string) {
	t.Helper()
	script := func(name, text string) string {
		path := filepath.Join(i.work, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	process, err := i.paths().Running()
	if err != nil {
		t.Fatal(err)
	}
	long := patience.String()
	all := map[string]struct{ text, timeout, says string }{
		"absent":    {"", long, "no such file"},
		"ends":      {"echo I cannot >&2; exit 3", long, "I cannot"},
		"silent":    {"exec sleep 60", "1s", "did not become ready in time"},
		"astray":    {"export DOCKER_HOST=tcp://127.0.0.1:1; exec " + os.Args[0] + ` "$@"`, long, "127.0.0.1:1"},
		"dies":      {"export SKIFF_TEST_TAKE_AND_END=now; exec " + os.Args[0] + ` "$@"`, long, "skiff ended while it started"},
		"hesitates": {"export SKIFF_TEST_TAKE_AND_END=later; exec " + os.Args[0] + ` "$@"`, "3s", "did not become ready in time"},
	}
	for _, name := range ways {
		bad := all[name]
		binary := filepath.Join(i.work, name)
		if bad.text != "" {
			binary = script(name, bad.text)
		}
		r := i.tryUpgrade(t, "--binary", binary, "--timeout", bad.timeout)
		if r.code != 1 || !strings.Contains(r.err, bad.says) {
			t.Errorf("%s: %v", name, r)
		}
		i.runsAs(t, process)
		if !alive(process) {
			t.Fatalf("%s: the daemon has ended", name)
		}
		must(t, i.skiff, "get", "pods")
		if now := i.doorAt(t); now != door {
			t.Errorf("%s: the Ingress was served at %s and is at %s", name, door, now)
		}
	}
}

// A daemon without anything that it serves hands over nothing but the API; and
// who has none is told so.
func TestUpgradeOfNothing(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	if r := try(t, i.skiff, "upgrade"); r.code != 1 || !strings.Contains(r.err, "not running") {
		t.Errorf("upgrade of nothing: %v", r)
	}
	i.up(t)
	for range 3 { // with no connection that would keep the old process
		if r := i.tryUpgrade(t); r.code != 0 {
			t.Fatalf("upgrade: %v", r)
		}
		must(t, i.skiff, "get", "pods")
	}
}

// An Ingress that is served no more does not say that it is.
func TestIngressOff(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	must(t, i.skiff, "up", "-d", "--listen", "127.0.0.1:0", "--ingress", "0,0")
	must(t, i.skiff, "create", "-f", i.write(t, "door.yaml", doorManifest))
	i.doorAt(t)
	must(t, i.skiff, "down")
	must(t, i.skiff, "up", "-d", "--listen", "127.0.0.1:0", "--ingress", "off")
	if at := must(t, i.skiff, "get", "ingress", "door", "-o", "jsonpath={.status}"); at != `{"loadBalancer":{}}` {
		t.Errorf("the status is %s", at)
	}
}
