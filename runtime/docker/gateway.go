package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/versions"

	"skiff/runtime/container"
)

// GatewaySpec describes the container that serves the instance's network: one
// static program that may change the network of its container, and nothing else.
type GatewaySpec struct {
	Args    []string   // of the engine's program
	Env     []string   // NAME=value
	Address netip.Addr // on the instance's network
}

// Gateway runs that container. It is no Pod's: it is not in List nor in Events.
// Its methods may be called from any goroutine.
type Gateway struct {
	engine *Engine
	spec   GatewaySpec
}

// Gateway prepares the instance's gateway; nothing is started yet.
func (e *Engine) Gateway(spec GatewaySpec) *Gateway { return &Gateway{engine: e, spec: spec} }

func (g *Gateway) name() string { return "skiff-gateway-" + g.engine.instance }

// DialContext reaches the gateway as it reaches Pods.
func (g *Gateway) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return g.engine.DialContext(ctx, network, address)
}

// Running says whether the container runs, and whether it does so as it is
// specified and on the instance's network. Its program may be that of another
// skiff: to replace it would cut what goes through it.
func (g *Gateway) Running(ctx context.Context) (running, fit bool, err error) {
	found, err := g.find(ctx)
	if errors.Is(err, container.ErrNotFound) || errors.Is(err, container.ErrConflict) {
		return false, false, nil // Start says what is in the way
	}
	if err != nil || !found.State.Running {
		return false, false, err
	}
	return true, g.matches(found) && g.trouble(found) == "", nil
}

func (g *Gateway) matches(found dockercontainer.InspectResponse) bool {
	return found.Config.Labels[labelHash] == g.hash()
}

// trouble is what somebody did to the container that keeps it from serving.
func (g *Gateway) trouble(found dockercontainer.InspectResponse) string {
	if found.State.Paused {
		return "it is paused"
	}
	if found.NetworkSettings == nil {
		return ""
	}
	endpoint := found.NetworkSettings.Networks[g.engine.networkName()]
	if endpoint == nil || found.State.Running && endpoint.IPAddress != g.spec.Address.String() {
		return "it is not on the instance's network"
	}
	return ""
}

// find inspects the container. One of that name which is not the instance's
// gateway is somebody's, and not to be touched.
func (g *Gateway) find(ctx context.Context) (dockercontainer.InspectResponse, error) {
	found, err := g.engine.inspect(ctx, g.name())
	if err == nil && (found.Config.Labels[labelGateway] == "" || !g.engine.owns(found.Config.Labels)) {
		return found, fmt.Errorf("use container %s: it is not this instance's gateway: choose another name for the instance, or remove the container if nobody needs it: %w",
			g.name(), container.ErrConflict)
	}
	return found, err
}

// Start has the container run, with this skiff's program. One that is not as
// specified, because skiff or the network is another one now, makes room for one
// that is.
func (g *Gateway) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	image, err := g.engine.programImage(ctx)
	if err != nil {
		return err
	}
	found, err := g.find(ctx)
	if errors.Is(err, container.ErrNotFound) {
		return g.remake(ctx, image)
	}
	if err != nil {
		return err
	}
	if trouble := g.trouble(found); trouble != "" {
		g.engine.log.Warn("Pods cannot reach Services through the gateway; making it again", "container", g.name(), "reason", trouble)
		return g.remake(ctx, image)
	}
	if !g.matches(found) || found.Config.Image != image.ref {
		return g.remake(ctx, image)
	}
	err = g.engine.judge(ctx, failure("start the gateway", g.engine.startWithAddress(ctx, found.ID)))
	if err == nil || ctx.Err() != nil || errors.Is(err, container.ErrUnavailable) {
		return err
	}
	// Its network was removed and made again, or the engine was killed while it
	// ran: it can then never be started any more.
	g.engine.log.Warn("the gateway cannot be started again; making another", "container", g.name(), "error", err)
	return g.remake(ctx, image)
}

// remake puts a new container in the old one's place. The old one serves until
// there is something to replace it.
func (g *Gateway) remake(ctx context.Context, image programImage) error {
	if err := g.engine.ensureGatewayImage(ctx, image); err != nil {
		return err
	}
	if err := g.Remove(ctx); err != nil {
		return err
	}
	if _, err := g.engine.restoreNetwork(ctx); err != nil {
		return err
	}
	id, err := g.create(ctx, image)
	if err != nil {
		return failure("create the gateway", err)
	}
	if err := g.engine.startWithAddress(ctx, id); err != nil {
		return failure("start the gateway", err)
	}
	if err := g.engine.purgeGatewayImages(ctx); err != nil {
		g.engine.log.Debug("images of other gateways are left", "error", err)
	}
	return nil
}

// Remove ends the container at once; one that is not there is fine.
func (g *Gateway) Remove(ctx context.Context) error {
	found, err := g.find(ctx)
	if errors.Is(err, container.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return g.engine.Remove(ctx, found.ID)
}

func (g *Gateway) create(ctx context.Context, image programImage) (string, error) {
	config, host, net := g.translate(image)
	return g.engine.withProgram(ctx, func(string) (string, error) {
		return g.engine.make(ctx, config, host, net, g.name())
	})
}

// hash tells a container that is as specified from one that was.
func (g *Gateway) hash() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q\n%q\n%s", g.spec.Args, g.spec.Env, g.spec.Address))
	return hex.EncodeToString(sum[:8])
}

func (g *Gateway) translate(image programImage) (*dockercontainer.Config, *dockercontainer.HostConfig, *network.NetworkingConfig) {
	labels := g.engine.labels()
	labels[labelGateway] = "true"
	labels[labelHash] = g.hash()
	labels[labelAddress] = g.spec.Address.String()
	config := &dockercontainer.Config{
		Image: image.ref, Cmd: g.spec.Args, Env: g.spec.Env, Labels: labels, User: "0:0",
		Healthcheck: &dockercontainer.HealthConfig{Test: []string{"NONE"}},
	}
	name := g.engine.networkName()
	host := &dockercontainer.HostConfig{
		NetworkMode:   dockercontainer.NetworkMode(name),
		RestartPolicy: dockercontainer.RestartPolicy{Name: dockercontainer.RestartPolicyDisabled},
		LogConfig:     logConfig(),
		CapAdd:        []string{"NET_ADMIN", "NET_BIND_SERVICE"},
		// Listeners are there before their addresses are.
		Sysctls: map[string]string{"net.ipv4.ip_nonlocal_bind": "1"},
	}
	confine(host)
	endpoint := &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: g.spec.Address.String()}}
	// Older engines make the hardware address of the other one; newer ones make
	// a new one each time, and Pods would go on sending to the old one for a while.
	if ip := g.spec.Address.As4(); versions.GreaterThanOrEqualTo(g.engine.api.ClientVersion(), "1.44") {
		endpoint.MacAddress = net.HardwareAddr(append([]byte{2, 0x42}, ip[:]...)).String()
	}
	return config, host, &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{name: endpoint}}
}
