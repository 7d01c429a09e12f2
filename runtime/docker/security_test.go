package docker

import (
	"testing"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"skiff/runtime/container"
)

// Not every engine that the tests meet may do all of this: what is asked of it
// is looked at here, what comes of it where it can be.
func TestTranslateSecurityAndResources(t *testing.T) {
	t.Parallel()
	spec := container.Spec{
		Name: "web",
		Security: container.Security{
			User: "1000:2000", Groups: []string{"3000"}, Privileged: true, ReadOnlyRoot: true, NoNewPrivileges: true,
			AddCapabilities: []string{"NET_ADMIN"}, DropCapabilities: []string{"ALL"}, SeccompUnconfined: true, AppArmorUnconfined: true,
			SELinux: container.SELinux{Type: "spc_t", Level: "s0:c1,c2"}, Sysctls: map[string]string{"net.core.somaxconn": "1024"},
		},
		Resources: container.Resources{CPUShares: 512, CPUQuota: 400_000, CPUPeriod: 100_000, Memory: 64 << 20, OOMScoreAdj: 900},
	}
	config, host, _ := (&Engine{}).translate(spec)
	want := &dockercontainer.HostConfig{
		GroupAdd: []string{"3000"}, Privileged: true, ReadonlyRootfs: true,
		CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}, Sysctls: map[string]string{"net.core.somaxconn": "1024"},
		SecurityOpt: []string{"no-new-privileges", "seccomp=unconfined", "apparmor=unconfined", "label=type:spc_t", "label=level:s0:c1,c2"},
		OomScoreAdj: 900,
		Resources: dockercontainer.Resources{
			CPUShares: 512, CPUQuota: 400_000, CPUPeriod: 100_000, Memory: 64 << 20, MemorySwap: 64 << 20,
		},
	}
	// The rest is not this test's.
	want.RestartPolicy, want.LogConfig, want.NetworkMode = host.RestartPolicy, host.LogConfig, host.NetworkMode
	if diff := cmp.Diff(want, host); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if config.User != "1000:2000" {
		t.Errorf("the user is %q", config.User)
	}
	if _, sandbox, _ := (&Engine{}).translate(container.Spec{Name: container.SandboxName}); !sandbox.ReadonlyRootfs || len(sandbox.CapDrop) != 1 || len(sandbox.SecurityOpt) != 1 {
		t.Errorf("the sandbox may do too much: %+v", sandbox)
	}
}
