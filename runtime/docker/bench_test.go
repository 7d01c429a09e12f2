package docker

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"

	"skiff/runtime/container"
)

// BenchmarkStart compares what a container costs from its creation to its
// first answer on the instance's network: asked of the engine directly, through
// this package with a network namespace of its own, and with a sandbox.
func BenchmarkStart(b *testing.B) {
	e := newEngine(b)
	plain := func(b *testing.B, s container.Spec) []string {
		made, err := e.api.ContainerCreate(b.Context(),
			&dockercontainer.Config{Image: testImage, Cmd: s.Cmd, Labels: e.labels()},
			&dockercontainer.HostConfig{NetworkMode: dockercontainer.NetworkMode(e.networkName())}, nil, nil, "")
		if err != nil {
			b.Fatal(err)
		}
		if err := e.api.ContainerStart(b.Context(), made.ID, dockercontainer.StartOptions{}); err != nil {
			b.Fatal(err)
		}
		c, err := e.inspect(b.Context(), made.ID)
		if err != nil {
			b.Fatal(err)
		}
		answer(b, e, c.NetworkSettings.Networks[e.networkName()].IPAddress)
		return []string{made.ID}
	}
	own := func(b *testing.B, s container.Spec) []string {
		id := start(b, e, s)
		answer(b, e, s.Network.Address.String())
		return []string{id}
	}
	joined := func(b *testing.B, s container.Spec) []string {
		sandbox := s
		sandbox.Name = container.SandboxName
		box := start(b, e, sandbox)
		s.Network = container.Network{Sandbox: box}
		s.Hostname = ""
		id := start(b, e, s)
		answer(b, e, sandbox.Network.Address.String())
		return []string{id, box}
	}
	for _, way := range []struct {
		name  string
		start func(*testing.B, container.Spec) []string
	}{{"engine", plain}, {"own", own}, {"sandbox", joined}} {
		b.Run(way.name, func(b *testing.B) {
			for b.Loop() {
				s := spec(b, e, "serve")
				ids := way.start(b, s)
				b.StopTimer()
				for _, id := range ids {
					if err := e.Remove(b.Context(), id); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkInTurn is a Pod whose containers run one after the other: who should
// hold its network?
func BenchmarkInTurn(b *testing.B) {
	e := newEngine(b)
	for _, inits := range []int{1, 2, 3} {
		for _, boxed := range []bool{false, true} {
			b.Run(fmt.Sprintf("inits=%d/sandbox=%t", inits, boxed), func(b *testing.B) {
				for b.Loop() {
					ids := inTurn(b, e, inits, boxed)
					b.StopTimer()
					for _, id := range ids {
						if err := e.Remove(b.Context(), id); err != nil {
							b.Fatal(err)
						}
					}
					b.StartTimer()
				}
			})
		}
	}
}

func inTurn(b *testing.B, e *Engine, inits int, boxed bool) (ids []string) {
	s := spec(b, e, "exit", "0")
	address := s.Network.Address.String()
	if boxed {
		box := s
		box.Name = container.SandboxName
		ids = append(ids, start(b, e, box))
		s.Network, s.Hostname = container.Network{Sandbox: ids[0]}, ""
	}
	for i := range inits {
		s.Name = fmt.Sprintf("init%d", i)
		id := start(b, e, s)
		ids = append(ids, id)
		exited(b, e, id)
	}
	s.Name, s.Cmd = "app", []string{"serve"}
	ids = append(ids, start(b, e, s))
	answer(b, e, address)
	return ids
}

// BenchmarkSandbox is what a sandbox holds in memory: its pause program, and
// nothing else of ours.
func BenchmarkSandbox(b *testing.B) {
	e := newEngine(b)
	kB := 0
	for b.Loop() {
		s := spec(b, e)
		s.Name = container.SandboxName
		id := start(b, e, s)
		c, err := e.inspect(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.State.Pid))
		if err != nil {
			b.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), "VmRSS:")
		if _, err := fmt.Sscan(rest, &kB); err != nil {
			b.Fatalf("read the pause program's memory: %v", err)
		}
		if err := e.Remove(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(kB), "RSS-kB")
}

// answer asks until the container answers.
func answer(t testing.TB, e *Engine, address string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: e.DialContext, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	url := fmt.Sprintf("http://%s/", net.JoinHostPort(address, "8080"))
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := client.Get(url)
		if err == nil {
			r.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(err)
		}
	}
}
