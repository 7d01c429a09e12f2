package container

// Info is what an engine says of itself and of its machine.
type Info struct {
	Host          string // where it answers, e.g. unix:///var/run/docker.sock
	Version       string
	APIVersion    string
	OS            string // as in GOOS
	Arch          string // as in GOARCH
	OSImage       string // e.g. Debian GNU/Linux 12 (bookworm)
	Kernel        string
	StorageDriver string
	Machine       string // the machine's host name
	CPUs          int
	Memory        int64 // bytes
	SELinux       bool  // containers get its labels
}
