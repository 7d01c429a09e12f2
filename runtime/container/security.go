package container

// Security says as whom a container runs and what it may do. The zero value
// leaves everything to the image and to the engine.
type Security struct {
	User   string   // UID or name, with :GID where a group is asked for; empty: the image's
	Groups []string // further groups, by number

	Privileged         bool
	ReadOnlyRoot       bool
	NoNewPrivileges    bool
	AddCapabilities    []string // as in NET_ADMIN; ALL are all
	DropCapabilities   []string
	SeccompUnconfined  bool   // else a profile holds:
	Seccomp            string // this one, as JSON; empty: the engine's
	AppArmorUnconfined bool
	SELinux            SELinux

	Sysctls map[string]string // only with Network.Address: they are the namespace's
}

// SELinux is the label of a container's processes, where the engine's machine
// has SELinux. Empty parts are the engine's choice.
type SELinux struct{ User, Role, Type, Level string }
