package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"skiff/orchestrator/apiserver"
	"skiff/orchestrator/claim"
	"skiff/orchestrator/deployment"
	"skiff/orchestrator/disruption"
	"skiff/orchestrator/gc"
	"skiff/orchestrator/informer"
	"skiff/orchestrator/ingress"
	"skiff/orchestrator/keyring"
	"skiff/orchestrator/metrics"
	"skiff/orchestrator/node"
	"skiff/orchestrator/receipt"
	"skiff/orchestrator/replicaset"
	"skiff/orchestrator/resource"
	"skiff/orchestrator/service"
	"skiff/orchestrator/service/allocation"
	"skiff/orchestrator/store"
	"skiff/orchestrator/traffic"
	"skiff/proxy"
	"skiff/runtime/container"
	"skiff/runtime/docker"
)

// parts are all that runs in an instance besides the store.
type parts struct {
	*estate
	goesOn bool // the proxy has something open already
	pki    *apiserver.PKI
	server *apiserver.Server
	ready  atomic.Bool

	client      kubernetes.Interface
	events      record.EventBroadcaster // the director's
	factory     *informer.Factory
	inside      *inside
	metrics     *metrics.Metrics
	receipts    *receipt.Controller
	director    *traffic.Director
	worker      *node.Worker
	deployments *deployment.Controller
	replicaSets *replicaset.Controller
	services    *service.Controller
	claims      *claim.Controller
	disruptions *disruption.Controller
	garbage     *gc.Controller
	doors       *ingress.Controller // nil: Ingresses are not served
}

// assemble makes the parts and puts them together. None of them runs yet.
func (o *Orchestrator) assemble(ctx context.Context, st *store.Store, e *estate) (_ *parts, err error) {
	p := &parts{estate: e, goesOn: e.elder != nil || e.engine != nil}
	if p.engine == nil { // else this process has run the instance before
		if p.engine, err = o.dockerEngine(ctx, st); err != nil {
			return nil, err
		}
	}
	machine, err := p.engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	subnet, err := network(ctx, st, p.engine)
	if err != nil {
		return nil, err
	}
	ranges, err := container.Split(subnet)
	if err != nil {
		return nil, err
	}
	gateway := subnet.Addr().Next()
	if p.api == nil {
		if p.api, err = listenAPI(o.options.Listen); err != nil {
			return nil, err
		}
	}
	address := p.api.Addr().(*net.TCPAddr)
	loopbacks, noIPv6 := proxy.Loopbacks(ctx)
	if noIPv6 != nil {
		p.log.Info("this machine has no ::1; services are reached at 127.0.0.1 only", "error", noIPv6)
	}
	addresses := allocation.Ranges{ClusterIPs: ranges.Services, Taken: func(port int32) bool { return proxy.Taken(ctx, loopbacks, port) }}
	at := []net.IP{address.IP, addresses.APIServiceIP().AsSlice()}
	if p.pki, err = apiserver.LoadPKI(o.paths.PKI, at, time.Now()); err != nil {
		return nil, err
	}
	if p.inside, err = o.inside(p.engine, ranges, address, p.takeInside); err != nil {
		return nil, err
	}
	kinds := resource.All(resource.Options{Services: addresses})
	p.server = apiserver.New(apiserver.Options{
		Store:     st,
		Resources: kinds,
		Logs:      p,
		Sessions:  p,
		Metrics:   p,
		Ready:     p.readiness,
		Log:       p.log,
		Version:   o.options.Version,
		Tokens:    p.pki.Tokens(),
	})
	client, err := kubernetes.NewForConfig(inProcess(p.server))
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	p.client = client
	anyKind, err := metadata.NewForConfig(inProcess(p.server))
	if err != nil {
		return nil, fmt.Errorf("make metadata client: %w", err)
	}
	p.factory = informer.NewFactory(client)
	p.events = record.NewBroadcaster(record.WithContext(ctx))
	p.events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	p.receipts = receipt.New(receipt.Options{Client: client, Factory: p.factory, Counts: p.Counts, Clock: clock.RealClock{}, Log: p.log})
	p.director = traffic.New(traffic.Options{
		Client: client, Factory: p.factory, Host: p.front(), Inside: p.inside,
		Own:      []netip.Prefix{ranges.Services, netip.PrefixFrom(ranges.Gateway, ranges.Gateway.BitLen())},
		Recorder: p.events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "skiff-proxy"}), Log: p.log,
		Loopbacks: loopbacks, Names: o.options.Ingress != nil,
		Drained: p.receipts.Drained,
	})
	p.metrics = metrics.New(metrics.Options{
		Counts: p.Counts, Gateway: p.inside.Use, API: p.server.EachRequests,
		Services: p.factory.Services().Lister(), Pods: p.factory.Pods().Lister(),
	})
	p.worker = node.New(node.Options{
		Client: client, Factory: p.factory, Engine: namedEngine{p.engine, p.inside.Up()}, Traffic: p.director,
		Logins:    keyring.Docker{Dir: keyring.DockerDir()},
		Addresses: ranges.Pods, HostIP: gateway, DNS: node.DNS{Server: ranges.Gateway, Domain: traffic.Domain},
		Machine: machine, Capacity: o.options.capacity(),
		Version: o.options.Version, DataDir: o.paths.Dir, Log: p.log,
	})
	p.deployments = deployment.New(client, p.factory, p.log, clock.RealClock{})
	p.replicaSets = replicaset.New(client, p.factory, p.log, clock.RealClock{})
	p.services = service.New(client, p.factory, p.log, service.API{
		ClusterIP: addresses.APIServiceIP(), Address: gateway, Port: int32(address.Port),
	})
	if err = o.openDoors(p, client); err != nil {
		return nil, err
	}
	p.claims = claim.New(client, p.factory, p.engine, p.log)
	p.disruptions = disruption.New(client, p.factory, p.log, clock.RealClock{})
	p.garbage, err = gc.New(gc.Options{
		Client: client, Metadata: anyKind, Informers: p.factory,
		Resources: kinds, RootCA: p.pki.CA(), Log: p.log,
	})
	return p, err
}

// openDoors makes what serves Ingresses, if that is wanted.
func (o *Orchestrator) openDoors(p *parts, client kubernetes.Interface) (err error) {
	if o.options.Ingress == nil {
		return nil
	}
	p.doors, err = ingress.New(ingress.Options{
		Client: client, Factory: p.factory, Board: p.board, Nowhere: p.proxy.NewPool(),
		Ports: *o.options.Ingress, GoesOn: p.goesOn, Dir: o.paths.PKI, Instance: o.options.Name,
		Recorder: p.events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "skiff-ingress"}), Log: p.log,
		Named: p.director.Named,
	})
	return err
}

// dockerEngine is the instance's view of the Docker Engine.
func (o *Orchestrator) dockerEngine(ctx context.Context, st *store.Store) (*docker.Engine, error) {
	uid, err := instanceUID(ctx, st)
	if err != nil {
		return nil, err
	}
	program := o.options.GatewayProgram
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find skiff's program: %w", err)
		}
	}
	return docker.New(docker.Options{Instance: o.options.Name, UID: uid, Program: program, Log: o.options.Log})
}

// inProcess reaches the API without a socket. The controllers are trusted and
// few: there is no limit to how fast they may ask.
func inProcess(server http.Handler) *rest.Config {
	config := &rest.Config{Host: "http://skiff", Transport: apiserver.Transport(server), QPS: -1, WarningHandler: rest.NoWarnings{}}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return config
}

var errNotReady = errors.New("starting or stopping")

func (p *parts) readiness() error {
	if !p.ready.Load() {
		return errNotReady
	}
	return nil
}

// Logs lets the API server, which is made first, ask the worker.
func (p *parts) Logs(ctx context.Context, pod *corev1.Pod, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	return p.worker.Logs(ctx, pod, opts)
}

func listenAPI(address string) (*net.TCPListener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open the API's address: %w (\"--listen 127.0.0.1:0\" picks a free port)", err)
	}
	return l.(*net.TCPListener), nil
}

// lastAnswers bounds what requests to the API get to end before another process
// answers them.
const lastAnswers = 5 * time.Second

// serve answers the API's clients until ctx ends.
func (p *parts) serve(ctx context.Context) error {
	streaming := apiserver.StreamsUntil(context.WithoutCancel(ctx), ctx)
	srv := &http.Server{
		Handler:           p.server.Outside(),
		TLSConfig:         p.pki.ServerTLS(),
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    1 << 20,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return streaming },
	}
	ended := make(chan error, 1)
	if err := p.api.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("serve the API: %w", err)
	}
	go func() { ended <- srv.ServeTLS(spared{p.api}, "", "") }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	}
	if p.asked.Load() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
		defer cancel()
		if err := srv.Shutdown(last); err != nil {
			p.log.Warn("requests to the API are cut", "error", err)
		}
	}
	// Every answer is safe to cut: what was accepted is on disk.
	err := srv.Close()
	<-ended
	return err
}

// spared is a listener that outlives the server which accepts from it: another
// one, in this process or the next, goes on with what waits there.
type spared struct{ *net.TCPListener }

func (l spared) Close() error { return l.SetDeadline(time.Unix(1, 0)) }
