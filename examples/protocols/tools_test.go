package main_test

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/skifftest"
)

// script is what a person would type who tries a Service with a tool. Its
// output must match want and must not match never.
type script struct{ name, text, want, never string }

var scripts = []script{
	{name: "curl keep-alive", text: `curl -sS --fail -w '%{num_connects}\n' http://$HTTP/?a http://$HTTP/?b http://$HTTP/?c`,
		want: `^version \d+ a\n1\nversion \d+ b\n0\nversion \d+ c\n0\n$`},
	{name: "curl Expect: 100-continue", text: `head -c 200000 /dev/zero | tr '\0' x >sent
		curl -sS --fail -v -H 'Expect: 100-continue' --data-binary @sent http://$HTTP/echo -o got 2>&1
		cmp sent got && echo same`,
		want: `(?s)HTTP/1.1 100 Continue.*\nsame\n$`},
	{name: "curl chunked upload and trailer", text: `head -c 200000 /dev/urandom >sent
		curl -sS --fail -v -D head -X POST -T - http://$HTTP/echo <sent -o got 2>log
		grep -ci '^> transfer-encoding: chunked' log
		cmp sent got && grep -qi "^x-sha256: $(sha256sum sent | cut -c 1-64)" head && echo same`,
		want: `^1\nsame\n$`},
	{name: "curl upgrade", text: `curl -sS -i -N --http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
		-H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' "http://$HTTP/ws?bye=true"`,
		want: `(?si)^HTTP/1.1 101 .*Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=.*bye`},
	{name: "curl events", text: `curl -sS --fail -N http://$HTTP/events 2>/dev/null | head -n 5`,
		want: `^data: 0\n\ndata: 1\n\ndata: 2\n$`},
	{name: "nc HTTP pipelining", text: `printf 'GET /?1 HTTP/1.1\r\nHost: a\r\n\r\nGET /?2 HTTP/1.1\r\nHost: a\r\n\r\nGET /?3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' |
		nc.openbsd $(echo $HTTP | tr : ' ') | grep ^version | cut -d' ' -f 3`,
		want: `^1\n2\n3\n$`},
	{name: "nc TCP half-close", text: `echo hello | nc.openbsd -N $(echo $TCP | tr : ' ')`, want: `^hello\nend\n$`},
	{name: "nc UDP", text: `echo hello | nc.openbsd -u -W 1 -w 30 $(echo $UDP | tr : ' ')`, want: `^hello\n$`},
	{name: "wrk", text: `wrk -t 1 -c 4 -d 2s --timeout 40s http://$HTTP/`,
		want: `(?m)^Requests/sec`, never: `Socket errors|Non-2xx`},
	{name: "h2load", text: `h2load -n 500 -c 2 -m 10 http://$HTTP/`,
		want: `500 done, 500 succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: 500 2xx`},
}

func (s script) try(ctx context.Context, p place) error {
	// Each in a folder of its own, so that they can run side by side.
	env := fmt.Sprintf("HTTP=%s TCP=%s UDP=%s; d=$(mktemp -d); cd $d; trap 'rm -rf $d' EXIT\n", p.http, p.tcp, p.udp)
	out, err := p.run(ctx, env+s.text)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s", err, out)
	case !regexp.MustCompile(s.want).MatchString(out), s.never != "" && regexp.MustCompile(s.never).MatchString(out):
		return fmt.Errorf("%w: %s", errUnexpected, out)
	}
	return nil
}

// host is the machine itself, seen from a container that shares its network:
// the tools need not be installed there.
func host(t *testing.T, i *skifftest.Instance, svc *corev1.Service) place {
	t.Helper()
	name := "skiff-tools-" + i.Options.Name
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rm", "--force", name).CombinedOutput(); err != nil {
			t.Errorf("remove %s: %v: %s", name, err, out)
		}
	})
	out, err := exec.CommandContext(t.Context(), "docker", "run", "--detach", "--network", "host", "--cpu-shares", "102", "--name", name, "skiff-example/tools:1").CombinedOutput()
	if err != nil {
		t.Fatalf("run the tools: %v: %s", err, out)
	}
	return place{name: "from the host", http: nodePort(svc, 0), tcp: nodePort(svc, 2), udp: nodePort(svc, 3), run: within(name)}
}

// pod knows the Service by its name.
func pod(t *testing.T, i *skifftest.Instance) place {
	t.Helper()
	pods := i.WaitPods(t, "app=tools", func(pods []corev1.Pod) bool { return len(pods) == 1 && len(pods[0].Status.ContainerStatuses) == 1 })
	id := strings.TrimPrefix(pods[0].Status.ContainerStatuses[0].ContainerID, "docker://")
	return place{name: "from a Pod", http: "protocols:80", tcp: "protocols:7000", udp: "protocols:7000", run: within(id)}
}

func within(container string) func(context.Context, string) (string, error) {
	return func(ctx context.Context, script string) (string, error) {
		out, err := exec.CommandContext(ctx, "docker", "exec", container, "sh", "-ec", script).CombinedOutput()
		return string(out), err
	}
}
