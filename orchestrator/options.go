package orchestrator

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// maxName leaves room for what is put before an instance's name in the names of
// its engine objects.
const maxName = 40

// check says what is wrong with the options.
func (o Options) check() error {
	if errs := validation.IsDNS1123Label(o.Name); len(errs) > 0 {
		return fmt.Errorf("instance name %q: %s", o.Name, strings.Join(errs, "; "))
	}
	if len(o.Name) > maxName {
		return fmt.Errorf("instance name %q: must be no more than %d characters", o.Name, maxName)
	}
	if o.DataDir == "" {
		return errors.New("a data directory is needed")
	}
	if o.Log == nil {
		return errors.New("a logger is needed")
	}
	if o.CPUs.Sign() < 0 || o.Memory.Sign() < 0 {
		return fmt.Errorf("the node cannot have %s processors and %s of memory: neither may be negative", &o.CPUs, &o.Memory)
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("listen address %q: %w", o.Listen, err)
	}
	// The API commands the Docker Engine, which is to say the whole machine.
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return fmt.Errorf("listen address %q: must be a loopback address such as 127.0.0.1:7443", o.Listen)
	}
	return nil
}
