package orchestrator

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"skiff/orchestrator/resource"
	"skiff/proxy/dns"
	"skiff/proxy/gateway"
	"skiff/proxy/switchboard"
	"skiff/runtime/container"
	"skiff/runtime/docker"
	"skiff/runtime/fsgroup"
	"skiff/runtime/loopback"
)

// gatewayCommand is the argument by which skiff's program is a gateway.
const gatewayCommand = "gateway"

// RunInside is what skiff's program does as the first process of a container, if
// that is what the arguments say.
func RunInside(ctx context.Context, args []string, log io.Writer) (inside bool, err error) {
	switch {
	case len(args) == 1 && args[0] == gatewayCommand:
		return true, runGateway(ctx, log)
	case len(args) > 0 && args[0] == fsgroup.Command:
		return true, fsgroup.Run(ctx, args[1:])
	case len(args) > 0 && args[0] == loopback.Command:
		return true, loopback.Run(ctx, args[1:], os.Stdin, os.Stdout)
	}
	return false, nil
}

// runGateway is what a gateway's container does, until ctx ends.
func runGateway(ctx context.Context, log io.Writer) error {
	config, err := gateway.ReadConfig(os.Getenv(gateway.ConfigEnv))
	if err != nil {
		return err
	}
	upstream, err := dns.SystemResolvers("/etc/resolv.conf")
	if err != nil {
		return fmt.Errorf("find the machine's resolver: %w", err)
	}
	g, err := gateway.New(gateway.Options{
		Config: config, Upstream: upstream, Announce: gateway.Announce,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		return err
	}
	gateway.Small()
	return g.Run(ctx)
}

// inside is the gateway as the instance has it: its container and the link to it.
type inside struct {
	*gateway.Link
	container *docker.Gateway
	stop      chan struct{} // closed when it is to run no longer
	stopped   chan struct{} // closed when it is not kept any more
}

func (o *Orchestrator) inside(engine *docker.Engine, ranges container.Ranges, api net.Addr, counted func(switchboard.Counts)) (*inside, error) {
	identity, err := gateway.LoadIdentity(filepath.Join(o.paths.PKI, "gateway.pem"), time.Now())
	if err != nil {
		return nil, err
	}
	config := gateway.NewConfig(ranges.Gateway, ranges.Services, resource.Domain, identity)
	encoded, err := config.Encode()
	if err != nil {
		return nil, err
	}
	i := &inside{stop: make(chan struct{}), stopped: make(chan struct{})}
	i.container = engine.Gateway(docker.GatewaySpec{
		Args: []string{gatewayCommand},
		Env:  []string{gateway.ConfigEnv + "=" + encoded}, Address: ranges.Gateway,
	})
	i.Link, err = gateway.NewLink(gateway.LinkOptions{
		Config: config, Machine: i.container, Counted: counted, Log: o.options.Log,
		API: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, api.Network(), api.String())
		},
	})
	return i, err
}

// Run keeps the gateway until ctx ends or it is shut down.
func (i *inside) Run(ctx context.Context) error {
	defer close(i.stopped)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-i.stop:
			cancel()
		case <-over:
		}
	}()
	return i.Link.Run(ctx)
}

// Shutdown removes the gateway's container.
func (i *inside) Shutdown(ctx context.Context) error {
	close(i.stop)
	select {
	case <-i.stopped:
	case <-ctx.Done():
		return ctx.Err()
	}
	return i.container.Remove(ctx)
}

// gatewayPatience bounds how long Pods wait for a gateway that does not come:
// they find no other Pod, but may well do without.
const gatewayPatience = 10 * time.Second

// namedEngine starts nothing before names can be looked up.
type namedEngine struct {
	*docker.Engine
	up <-chan struct{}
}

func (e namedEngine) Start(ctx context.Context, id string) error {
	timer := time.NewTimer(gatewayPatience)
	defer timer.Stop()
	select {
	case <-e.up:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return e.Engine.Start(ctx, id)
}
