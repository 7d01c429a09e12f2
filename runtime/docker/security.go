package docker

import (
	dockercontainer "github.com/docker/docker/api/types/container"

	"skiff/runtime/container"
)

// secure sets as whom the container runs and what it may do.
func secure(config *dockercontainer.Config, host *dockercontainer.HostConfig, s container.Security) {
	config.User = s.User
	host.GroupAdd = s.Groups
	host.Privileged = s.Privileged
	host.ReadonlyRootfs = s.ReadOnlyRoot
	host.CapAdd = s.AddCapabilities
	host.CapDrop = s.DropCapabilities
	host.Sysctls = s.Sysctls
	host.SecurityOpt = securityOptions(s)
}

// confine leaves a container of skiff's own no more than it is given besides.
func confine(host *dockercontainer.HostConfig) {
	host.ReadonlyRootfs, host.CapDrop, host.SecurityOpt = true, []string{"ALL"}, []string{"no-new-privileges"}
}

func securityOptions(s container.Security) []string {
	var options []string
	add := func(given bool, option string) {
		if given {
			options = append(options, option)
		}
	}
	add(s.NoNewPrivileges, "no-new-privileges")
	add(s.SeccompUnconfined, "seccomp=unconfined")
	add(s.Seccomp != "", "seccomp="+s.Seccomp)
	add(s.AppArmorUnconfined, "apparmor=unconfined")
	for _, part := range []struct{ name, value string }{
		{"user", s.SELinux.User}, {"role", s.SELinux.Role}, {"type", s.SELinux.Type}, {"level", s.SELinux.Level},
	} {
		add(part.value != "", "label="+part.name+":"+part.value)
	}
	return options
}
