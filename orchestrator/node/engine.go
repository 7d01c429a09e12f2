package node

import (
	"context"
	"io"
	"io/fs"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/runtime/container"
)

// Engine is what the worker needs of a container engine. Every method may be
// called from any goroutine and honours its context.
type Engine interface {
	Images
	Containers
	Volumes
	Paths
	Access
	Sessions
}

// Images looks for images and fetches them.
type Images interface {
	// Image describes a local image; container.ErrNotFound where there is none.
	Image(ctx context.Context, ref string) (container.Image, error)
	// Pull fetches an image, or makes sure that the local one is the newest, as
	// somebody whom the registry knows where as is not zero. progress is told how
	// many of how many bytes are there, from one goroutine.
	Pull(ctx context.Context, ref string, as container.Credential, progress func(done, total int64)) (container.Image, error)
}

// Containers makes, runs and removes the instance's containers.
type Containers interface {
	// Create makes a container and returns its ID; container.ErrConflict where
	// the same Pod has one of that name and attempt. The name
	// container.SandboxName makes a sandbox.
	Create(ctx context.Context, spec container.Spec) (id string, err error)
	// Start starts a created container. One that runs already is fine.
	Start(ctx context.Context, id string) error
	// Stop asks a container to end, kills it after the grace period, and
	// returns when it has ended. One that has ended already is fine;
	// container.ErrNotFound where there is none.
	Stop(ctx context.Context, id string, grace time.Duration) error
	// Disconnect takes a container that has not been started off its network,
	// until Reconnect. One that is off it is fine.
	Disconnect(ctx context.Context, id string) error
	// Reconnect gives a running container the network that it has lost.
	Reconnect(ctx context.Context, id string) error
	// Remove removes a container, killing it if need be. None there is fine.
	Remove(ctx context.Context, id string) error
	// Inspect describes one container; container.ErrNotFound where there is none.
	Inspect(ctx context.Context, id string) (container.Status, error)
	// List describes every container of the instance, sandboxes included.
	List(ctx context.Context) ([]container.Status, error)
}

// Volumes keeps storage for containers.
type Volumes interface {
	// CreateVolume makes a volume, in a Pod's name, that every user can write
	// to. One that is there stays as it is, but for what v gives to its group.
	CreateVolume(ctx context.Context, pod container.Pod, v container.Volume) error
	// RemoveVolume removes a volume. None there is fine; container.ErrConflict
	// where a container has it.
	RemoveVolume(ctx context.Context, name string) error
	// Volumes lists the instance's volumes.
	Volumes(ctx context.Context) ([]container.Volume, error)
	// VolumeUsage is what a volume takes on the disk, in bytes;
	// container.ErrUnsupported where the engine cannot tell.
	VolumeUsage(ctx context.Context, name string) (int64, error)
}

// Paths looks at the engine's machine, in a Pod's name.
type Paths interface {
	// PathType tells what is at a path; container.ErrNotFound where nothing is.
	PathType(ctx context.Context, pod container.Pod, path string) (fs.FileMode, error)
	// MakeDir makes a directory and those above it.
	MakeDir(ctx context.Context, pod container.Pod, path string) error
	// MakeFile makes an empty file in a directory that is there.
	MakeFile(ctx context.Context, pod container.Pod, path string) error
	// Below is the path of sub within what m shows. A directory is made there if
	// nothing is; a link that leads out of what m shows is an error.
	Below(ctx context.Context, pod container.Pod, m container.Mount, sub string) (string, error)
}

// Access hears of containers and asks them how they are.
type Access interface {
	// Identity says, in a Pod's name, as whom an image's program runs for a user
	// as in container.Security.
	Identity(ctx context.Context, pod container.Pod, image, user string) (container.Identity, error)
	// Events tells what happens to the instance's containers from the moment it
	// returns. A zero Event says that some may have been missed. The channel is
	// closed when ctx ends.
	Events(ctx context.Context) <-chan container.Event
	// Exec runs a command in a running container, at most until ctx's deadline.
	Exec(ctx context.Context, id string, cmd []string) (output []byte, exitCode int, err error)
	// DialContext connects to a Pod's address.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Sessions let somebody look into containers.
type Sessions interface {
	// ExecSession runs a command for somebody who talks to it and returns its
	// exit code.
	ExecSession(ctx context.Context, id string, cmd []string, s container.Session) (exitCode int, err error)
	// AttachSession connects somebody to a container's own process until that
	// ends.
	AttachSession(ctx context.Context, id string, s container.Session) error
	// Logs reads what a container wrote, also after it has ended.
	Logs(ctx context.Context, id string, opts container.LogOptions) (io.ReadCloser, error)
	// DialLoopback connects to a port of the loopback address that a running
	// container of the Pod has.
	DialLoopback(ctx context.Context, pod container.Pod, id string, port int) (net.Conn, error)
}

// Traffic is what the worker needs of whatever sends requests to Pods.
type Traffic interface {
	// Add makes the Pod, whose status has its address, a back end of every
	// Service that selects it. When it returns, requests may arrive. Idempotent.
	Add(ctx context.Context, pod *corev1.Pod) error
	// Remove takes the Pod out of every pool; when it returns, no new request
	// reaches it. Requests in flight go on. Idempotent, also for unknown Pods.
	Remove(ctx context.Context, uid types.UID) error
	// Drain is Remove, and then waits until nothing of the Pod's is in flight.
	// Streams are cut after the given time, requests when ctx ends.
	Drain(ctx context.Context, pod *corev1.Pod, streams time.Duration) error
}
