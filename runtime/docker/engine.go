// Package docker runs containers on a Docker Engine. It is the only package
// that knows the engine's API; everybody else sees the values of
// runtime/container.
package docker

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/client"
	"golang.org/x/sync/singleflight"

	"skiff/runtime/container"
)

// Most calls take milliseconds. An engine that does not answer one for so long
// is stuck; without a limit the Pods that wait for it would be stuck for ever.
const callTimeout = 2 * time.Minute

// lastPatience is how long the answer to a call is waited for that the engine
// carries out even when its client has gone.
const lastPatience = 10 * time.Second

// outlasting goes on for a while after ctx has ended.
func outlasting(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(lastPatience, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

// Options say which instance's containers an Engine runs, and where.
type Options struct {
	Instance string // its name, a DNS label
	UID      string // tells instances of one name apart; empty: whatever has the name
	Host     string // empty: DOCKER_HOST, else docker's current context, else its default
	Program  string // path of skiff's executable for the engine's machine, for containers of its own
	Log      *slog.Logger
}

// Engine is one instance's view of a Docker Engine: it sees, makes and removes
// what carries the instance's labels and nothing else. Its methods may be
// called from any goroutine.
type Engine struct {
	api      *client.Client
	fresh    *client.Client // connects anew for each call
	instance string
	uid      string
	log      *slog.Logger
	gate     *gate

	mu     sync.Mutex // guards subnet; held while the network is made
	subnet netip.Prefix

	pauseMu      sync.Mutex // guards the two below, which are made once
	pauseRef     string
	pauseArchive []byte

	program   string
	programMu sync.Mutex // guards image
	image     programImage

	accounts sync.Map           // of images, by their IDs
	readers  singleflight.Group // of accounts

	walks      chan struct{} // who gives a volume to a group holds one
	forwarders chan struct{} // likewise who forwards to a loopback address
}

// New prepares the connection; the engine is not asked anything yet.
func New(o Options) (*Engine, error) {
	opts, err := connection(o.Host)
	if err != nil {
		return nil, err
	}
	opts = append(opts, client.WithAPIVersionNegotiation())
	api, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("set up connection to the container engine: %w", err)
	}
	single := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	// The host comes last and by name: a client that brings its own transport is
	// not given the way to the default one.
	fresh, err := client.NewClientWithOpts(append(append([]client.Opt{client.WithHTTPClient(single)}, opts...), client.WithHost(api.DaemonHost()))...)
	if err != nil {
		return nil, fmt.Errorf("set up connection to the container engine: %w", err)
	}
	return &Engine{
		api:      api,
		fresh:    fresh,
		instance: o.Instance,
		uid:      o.UID,
		log:      o.Log,
		gate:     newGate(max(2, 2*runtime.NumCPU())),
		program:  o.Program,
		walks:    make(chan struct{}, walksAtOnce),

		forwarders: make(chan struct{}, forwardersAtOnce),
	}, nil
}

// Close ends the idle connections to the engine.
func (e *Engine) Close() error { return e.api.Close() }

// Ping asks whether the engine answers whoever comes now: one that is about to
// end serves the connections that it has, and takes no new ones. The error says
// where it was looked for and what to do.
func (e *Engine) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := e.fresh.Ping(ctx); err != nil {
		return unreachable(e.api.DaemonHost(), err)
	}
	return nil
}

// Info describes the engine and its machine.
func (e *Engine) Info(ctx context.Context) (container.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	info, err := e.api.Info(ctx)
	if client.IsErrConnectionFailed(err) {
		return container.Info{}, unreachable(e.api.DaemonHost(), err)
	}
	if err != nil {
		return container.Info{}, failure("ask the engine about itself", err)
	}
	return container.Info{
		Host:          e.api.DaemonHost(),
		Version:       info.ServerVersion,
		APIVersion:    e.api.ClientVersion(),
		OS:            info.OSType,
		Arch:          goarch(info.Architecture),
		OSImage:       info.OperatingSystem,
		Kernel:        info.KernelVersion,
		StorageDriver: info.Driver,
		Machine:       info.Name,
		CPUs:          info.NCPU,
		Memory:        info.MemTotal,
		SELinux:       slices.ContainsFunc(info.SecurityOptions, func(o string) bool { return strings.HasPrefix(o, "name=selinux") }),
	}, nil
}

// goarch translates the kernel's name of a processor, which the engine reports,
// into Go's.
func goarch(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return machine
}

// DialContext connects to an address on the instance's network. On Linux the
// host has a route to it.
func (e *Engine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}
