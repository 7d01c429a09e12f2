package container

// Volume is storage that the engine keeps. It outlives containers.
type Volume struct {
	Name  string // within the instance
	Pod   string // UID of the Pod that it ends with; empty: it outlives Pods
	Claim string // namespace/name of the claim that it is for, if it is for one

	// Memory makes it a file system in memory, whose content is kept for as long
	// as some running container mounts it. Size bounds it, in bytes; 0: the
	// engine's own bound.
	Memory bool
	Size   int64

	Group *int64 // owns the volume's root and so what is made in it; nil: root
	Give  Giving // what of a volume that is there is given to the group
}

// Giving says how much of a volume that somebody has used before is given to a
// group.
type Giving string

// The zero Giving gives the root alone.
const (
	GiveMismatched Giving = "mismatched" // all, unless the root is the group's already
	GiveAll        Giving = "all"
)

// Mount shows a container a path on the engine's machine, or a volume.
type Mount struct {
	Source      string // absolute path; empty where Volume is set
	Volume      string // name of a volume
	Target      string
	ReadOnly    bool
	Recursive   Recursion // of a read-only one
	Propagation Propagation
}

// Recursion says whether what is mounted below a read-only mount is read-only,
// too.
type Recursion string

// The zero Recursion leaves out what is mounted below.
const (
	RecursiveIfPossible Recursion = "if possible"
	RecursiveAlways     Recursion = "always" // or the container is not made
)

// Propagation says whether what is mounted below a mount after its container
// has started is seen on the other side.
type Propagation string

// The zero Propagation keeps both sides apart.
const (
	FromHost  Propagation = "from host"
	BothSides Propagation = "both sides"
)
