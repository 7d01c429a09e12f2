package node

import (
	"fmt"
	"hash/fnv"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
)

// containerSpec says in the engine's terms what the next attempt at a container
// is, as far as the Pod's object says it; configure does the rest. It joins the
// sandbox, where there is one.
func containerSpec(s *state, u, sandbox *unit) container.Spec {
	c := s.spec(u.name)
	spec := container.Spec{
		Pod:        identity(s.pod),
		Name:       u.name,
		Attempt:    u.next,
		Round:      s.round,
		Hash:       hash(c),
		ImageID:    u.image.ID,
		Image:      c.Image,
		WorkingDir: c.WorkingDir,
		TTY:        c.TTY,
		Stdin:      c.Stdin,
		StdinOnce:  c.StdinOnce,
	}
	s.share(u, sandbox, &spec)
	return spec
}

func sandboxSpec(s *state, u *unit) container.Spec {
	spec := container.Spec{
		Pod:       identity(s.pod),
		Name:      container.SandboxName,
		Attempt:   u.next,
		Resources: sandboxLimits(),
		Mounts:    s.keeps(),
	}
	s.share(u, u, &spec)
	return spec
}

func identity(pod *corev1.Pod) container.Pod {
	return container.Pod{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
}

// hash tells whether a running container is still what its Pod asks for. The
// image is all of a container that the API lets change.
func hash(c *corev1.Container) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%s", c.Name, c.Image)
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}

// grace is how long a container may take to end where nobody says otherwise.
func grace(pod *corev1.Pod) int64 {
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		return *s
	}
	return corev1.DefaultTerminationGracePeriodSeconds
}
