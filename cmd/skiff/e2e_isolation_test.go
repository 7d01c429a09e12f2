package main_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"skiff/examples/load"
)

// TestIsolation: two instances with the same manifests, and what belongs to
// neither, side by side on one engine.
func TestIsolation(t *testing.T) {
	t.Parallel()
	stranger := newStranger(t)
	a, b := start(t), start(t)
	atA, atB := a.deployWeb(t), b.deployWeb(t)
	a.ownPodsOnly(t, atA)
	b.ownPodsOnly(t, atB)
	if subnets := a.subnet(t) + " " + b.subnet(t); a.subnet(t) == b.subnet(t) {
		t.Errorf("the instances share a network: %s", subnets)
	}

	// What a has taken on the host, b says it cannot have, until it can.
	taken := strings.Replace(webManifest(t), "targetPort: http\n", "targetPort: http\n    nodePort: "+strings.TrimPrefix(atA, "127.0.0.1:")+"\n", 1)
	_, service, _ := strings.Cut(strings.Replace(taken, "kind: Service\nmetadata:\n  name: web", "kind: Service\nmetadata:\n  name: late", 1), "---\n")
	must(t, b.skiff, "create", "-f", b.write(t, "late.yaml", service))
	eventually(t, func() error {
		events := must(t, b.skiff, "get", "events", "--field-selector", "involvedObject.name=late")
		if !strings.Contains(events, "PortInUse") || !strings.Contains(events, atA+" is in use by another program") {
			return fmt.Errorf("no event about %s: %s", atA, events)
		}
		return nil
	})

	before := b.applications(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	answers := make(chan *load.Result, 1)
	go func() { answers <- load.Run(ctx, load.Options{Address: atB, Rate: 50, Fresh: 0.5}, nil) }()
	must(t, a.skiff, "down", "--purge")
	if left := a.onEngine(t); len(left) > 0 {
		t.Errorf("the purge has left %q", left)
	}
	b.answers(t, atA)
	stop()
	result := <-answers
	if failures := result.Failures(); len(failures) > 0 || result.Requests() == 0 {
		t.Errorf("%d of %d requests to the other instance failed, the first: %v", len(failures), result.Requests(), failures)
	}
	if after := b.applications(t); !slices.Equal(before, after) {
		t.Errorf("the purge of one instance changed the containers of the other:\nbefore %v\nafter  %v", before, after)
	}
	stranger.untouched(t)
}

// ownPodsOnly sees that the instance knows its own Pods and no others, and that
// they are who answers.
func (i *instance) ownPodsOnly(t *testing.T, address string) {
	t.Helper()
	var names []string
	for _, p := range i.webPods(t, 3) {
		names = append(names, p.Name)
	}
	for _, c := range i.containers(t) {
		if !slices.Contains(names, c.Pod) {
			t.Errorf("container %s of %s belongs to no Pod of the instance", c.ID, c.Pod)
		}
	}
	for range 10 {
		if pod := i.answers(t, address); !slices.Contains(names, pod) {
			t.Errorf("%s answered, which is none of %v", pod, names)
		}
	}
}

func (i *instance) subnet(t *testing.T) string {
	t.Helper()
	return docker(t, "network", "inspect", "skiff-"+i.name, "--format", "{{range .IPAM.Config}}{{.Subnet}}{{end}}")
}

// stranger is a container, a network and a volume that are not skiff's, though
// the container looks like one of a kubelet.
type stranger struct{ container, network, volume string }

func newStranger(t *testing.T) stranger {
	t.Helper()
	needImages(t)
	name := strings.ToLower("skiff-stranger-" + strings.NewReplacer("/", "-").Replace(t.Name()) + fmt.Sprint(os.Getpid()))
	s := stranger{network: name, volume: name}
	remove := func(args ...string) {
		t.Cleanup(func() { docker(t, args...) })
	}
	docker(t, "volume", "create", name)
	remove("volume", "rm", name)
	docker(t, "network", "create", name)
	remove("network", "rm", name)
	s.container = strings.TrimSpace(docker(t, "run", "--detach", "--name", name, "--network", name, "--volume", name+":/data",
		"--label", "io.kubernetes.pod.name=web", "--label", "io.kubernetes.pod.namespace=default",
		"--label", "io.kubernetes.pod.uid=00000000-0000-0000-0000-000000000000", "--label", "io.kubernetes.container.name=web",
		"skiff-example/web:1"))
	remove("rm", "--force", name)
	return s
}

func (s stranger) untouched(t *testing.T) {
	t.Helper()
	if got := docker(t, "inspect", s.container, "--format", "{{.State.Running}} {{.RestartCount}}"); got != "true 0\n" {
		t.Errorf("a container that is not skiff's: running, restarts: %s", got)
	}
	docker(t, "network", "inspect", s.network)
	docker(t, "volume", "inspect", s.volume)
}
