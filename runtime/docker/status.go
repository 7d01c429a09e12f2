package docker

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"

	"skiff/runtime/container"
)

// Labels: the kubelet's, so that tools which look at containers feel at home,
// and skiff's own.
const (
	labelPodName      = "io.kubernetes.pod.name"
	labelPodNamespace = "io.kubernetes.pod.namespace"
	labelPodUID       = "io.kubernetes.pod.uid"
	labelName         = "io.kubernetes.container.name"
	labelAttempt      = "annotation.io.kubernetes.container.restartCount"
	labelHash         = "annotation.io.kubernetes.container.hash"

	labelInstance = "skiff.instance"
	labelUID      = "skiff.uid"
	labelAddress  = "skiff.address"
	labelImage    = "skiff.image"
	labelRound    = "skiff.round"
)

// scheme goes before a container's ID wherever Kubernetes shows one.
const scheme = "docker://"

func engineID(id string) string { return strings.TrimPrefix(id, scheme) }

// labels mark what belongs to the instance.
func (e *Engine) labels() map[string]string {
	return map[string]string{labelInstance: e.instance, labelUID: e.uid}
}

// owns says whether what carries these labels is the instance's.
func (e *Engine) owns(labels map[string]string) bool {
	return labels[labelInstance] == e.instance && (e.uid == "" || labels[labelUID] == e.uid)
}

// own filters for what belongs to the instance.
func (e *Engine) own() filters.Args {
	args := filters.NewArgs(filters.Arg("label", labelInstance+"="+e.instance))
	if e.uid != "" {
		args.Add("label", labelUID+"="+e.uid)
	}
	return args
}

// List describes every container of the instance, sandboxes included.
func (e *Engine) List(ctx context.Context) ([]container.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := e.api.ContainerList(ctx, dockercontainer.ListOptions{All: true, Filters: e.own()})
	if err != nil {
		return nil, failure("list containers", err)
	}
	var (
		mu     sync.Mutex
		out    = make([]container.Status, 0, len(found))
		group  errgroup.Group
		single = func(id string) error {
			s, err := e.Inspect(ctx, id)
			if errors.Is(err, container.ErrNotFound) {
				return nil // removed since the list was made
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			out = append(out, s)
			return nil
		}
	)
	group.SetLimit(8)
	for _, c := range found {
		if c.Labels[labelGateway] != "" {
			continue // it is no Pod's
		}
		group.Go(func() error { return single(c.ID) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// Inspect describes one container. It answers container.ErrNotFound where
// there is none of that ID.
func (e *Engine) Inspect(ctx context.Context, id string) (container.Status, error) {
	c, err := e.inspect(ctx, id)
	if err != nil {
		return container.Status{}, err
	}
	return e.describe(c), nil
}

// describe says what an inspected container is, and whether it has its network.
func (e *Engine) describe(c dockercontainer.InspectResponse) container.Status {
	s := status(c)
	s.Detached = s.State != container.Exited && s.Address.IsValid() && !attached(c, e.networkName(), s.Address)
	return s
}

// attached says whether a container has its address on a network, or will have it
// when it starts. The engine goes on listing a network that it has failed to connect.
func attached(c dockercontainer.InspectResponse, network string, address netip.Addr) bool {
	if c.NetworkSettings == nil {
		return true
	}
	n := c.NetworkSettings.Networks[network]
	return n != nil && (n.IPAddress == address.String() || state(c.State.Status) == container.Created)
}

func (e *Engine) inspect(ctx context.Context, id string) (dockercontainer.InspectResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := e.api.ContainerInspect(ctx, engineID(id))
	if err != nil {
		return c, failure("inspect container", err)
	}
	if c.ContainerJSONBase == nil || c.State == nil || c.Config == nil || c.HostConfig == nil {
		return c, errors.New("inspect container: the engine's answer is incomplete")
	}
	return c, nil
}

func status(c dockercontainer.InspectResponse) container.Status {
	l := c.Config.Labels
	attempt, _ := strconv.Atoi(l[labelAttempt]) // skiff wrote them
	round, _ := strconv.Atoi(l[labelRound])
	address, _ := netip.ParseAddr(l[labelAddress])
	s := container.Status{
		ID:      scheme + c.ID,
		Pod:     podOf(l),
		Name:    l[labelName],
		Attempt: attempt,
		Round:   round,
		Hash:    l[labelHash],
		Image:   l[labelImage],
		ImageID: c.Image,
		Address: address,
		State:   state(c.State.Status),
		Paused:  c.State.Paused,

		CreatedAt:  parseTime(c.Created),
		StartedAt:  parseTime(c.State.StartedAt),
		FinishedAt: parseTime(c.State.FinishedAt),
		ExitCode:   c.State.ExitCode,
		OOMKilled:  c.State.OOMKilled,
		Error:      c.State.Error,
	}
	if sandbox, joined := strings.CutPrefix(string(c.HostConfig.NetworkMode), "container:"); joined {
		s.Sandbox = scheme + sandbox
	}
	return s
}

func podOf(labels map[string]string) container.Pod {
	return container.Pod{
		Namespace: labels[labelPodNamespace],
		Name:      labels[labelPodName],
		UID:       labels[labelPodUID],
	}
}

// state folds the engine's seven states into three. A paused container has its
// processes; a dead one is an exited one whose removal went wrong.
func state(s dockercontainer.ContainerState) container.State {
	switch s {
	case dockercontainer.StateCreated:
		return container.Created
	case dockercontainer.StateRunning, dockercontainer.StatePaused, dockercontainer.StateRestarting:
		return container.Running
	}
	return container.Exited
}

// parseTime reads the engine's times, among which year 1 means never.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}
