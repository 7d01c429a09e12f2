// Package container says what a container, an image and a sandbox are to
// skiff, whatever engine runs them. It holds values only: the engines that act
// on them are runtime/docker and runtime/fake, and orchestrator/node declares
// what it needs of an engine.
package container

import (
	"errors"
	"net/netip"
	"time"
)

// Errors an engine answers with. They are wrapped; test with errors.Is.
var (
	// ErrNotFound: no such container or image.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the name is taken, or the state does not allow the call.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable: the engine does not answer, or is about to end.
	ErrUnavailable = errors.New("the engine is not available")
	// ErrUnsupported: the engine cannot do that.
	ErrUnsupported = errors.New("not supported by the engine")
)

// Pod is the identity of the Pod that a container belongs to. It is written
// into the container's labels, so that every container can be traced to its
// Pod from the engine alone.
type Pod struct {
	Namespace string
	Name      string
	UID       string
}

// SandboxName is the container name of a Pod's sandbox, as in the kubelet's
// conventions: no container of a Pod may be called that.
const SandboxName = "POD"

// Network says where a container gets its network namespace from. Exactly one
// of them is set.
type Network struct {
	// Address is the Pod's own address on the instance's network; the
	// container owns the namespace. The next attempt asks for the same one.
	Address netip.Addr
	// Sandbox is the ID of the sandbox, or of another container, whose
	// namespace the container joins.
	Sandbox string
	// Host gives the container the network of the engine's machine.
	Host bool
}

// HostNamespace stands for the namespace of the engine's machine.
const HostNamespace = "host"

// Namespaces says what else a container shares, and with whom: nobody where it
// is empty, HostNamespace, or the ID of a container. A sandbox lets others join
// what it has of its own.
type Namespaces struct {
	IPC string
	PID string
}

// Spec describes one attempt at running one container of a Pod.
type Spec struct {
	Pod     Pod
	Name    string // of the container within its Pod; SandboxName for a sandbox
	Attempt int    // 0 for the first start, counted up with each restart
	Round   int    // how often all containers of the Pod had been restarted together
	Hash    string // of the container's part of the Pod spec; comes back in Status

	ImageID    string   // what runs; empty for a sandbox, which brings its own
	Image      string   // what the manifest calls it; comes back in Status
	Entrypoint []string // nil: the image's own
	Cmd        []string // nil: the image's own, unless Entrypoint is set
	Env        []string // NAME=value
	WorkingDir string   // empty: the image's own
	Hostname   string   // like Domain and Hosts not where Network.Sandbox has it
	Domain     string   // behind the host name
	Hosts      []string // host:address lines for /etc/hosts
	Mounts     []Mount
	Network    Network
	Namespaces Namespaces
	TTY        bool
	Stdin      bool
	Resources  Resources
	StdinOnce  bool // standard input ends with its first client
	Security   Security
}

// State is where a container is in its life.
type State string

// The states a container passes through, in this order.
const (
	Created State = "created"
	Running State = "running"
	Exited  State = "exited"
)

// Status is what an engine knows of one container of the instance.
type Status struct {
	ID      string // with the engine's scheme, as in containerStatuses: docker://…
	Pod     Pod
	Name    string
	Attempt int
	Round   int
	Hash    string

	Image   string
	ImageID string
	Address netip.Addr // that it asked for; invalid where it joined a sandbox
	Sandbox string     // ID of the one that it joined

	State      State
	Paused     bool // it has its processes, but they stand still
	Detached   bool // it runs without the network that it was given, or would
	CreatedAt  time.Time
	StartedAt  time.Time // zero while Created
	FinishedAt time.Time // when it exited last, also of one that was started again; zero if it never has
	ExitCode   int
	OOMKilled  bool
	Error      string // the engine's words for a start that failed
}

// What an Event without a container says of the engine itself.
const (
	// EngineLost: it does not answer, or is about to end. What its containers do
	// from now on may be its own doing.
	EngineLost = "engine lost"
	// EngineBack: it answers again. Events have been lost.
	EngineBack = "engine back"
)

// Event says that a container of the instance has changed: ask for its Status.
// A zero Event (no container ID) says that events may have been lost: read
// everything again. One with an action but no container is about the engine.
type Event struct {
	ContainerID string
	Pod         Pod
	Name        string
	Action      string // create, start, die, destroy, oom, …
	At          time.Time
}

// Image is what an engine knows of an image it has.
type Image struct {
	ID         string
	Digests    []string // repo@sha256:…, empty for one that was built here
	Entrypoint []string
	Cmd        []string
	Env        []string
	WorkingDir string
	User       string
	CreatedAt  time.Time
	Size       int64
}

// LogOptions choose which part of a container's output is read.
type LogOptions struct {
	Follow     bool
	Tail       int64 // lines from the end; negative: all
	Since      time.Time
	Timestamps bool
}
