package orchestrator

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
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
	"skiff/orchestrator/store"
	"skiff/orchestrator/traffic"
	"skiff/orchestrator/work"
)

// parts are all that runs in an instance besides the store.
type parts struct {
	*estate
	goesOn bool // the proxy has something open already
	pki    *apiserver.PKI
	server *apiserver.Server
	ready  atomic.Bool

	client      kubernetes.Interface
	metadata    metadata.Interface   // of objects of any kind
	events      work.Events          // the director's, the doors' and the API's
	recorder    record.EventRecorder // the API's
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
func (o *Orchestrator) assemble(ctx context.Context, st *store.Store, e *estate) (*parts, error) {
	p := &parts{estate: e, goesOn: e.elder != nil || e.engine != nil}
	at, err := o.survey(ctx, st, e)
	if err != nil {
		return nil, err
	}
	kinds := resource.All(resource.Options{Services: at.services})
	if err := o.makeAPI(p, at, st, kinds); err != nil {
		return nil, err
	}
	p.factory = informer.NewFactory(p.client)
	p.events = work.NewEvents(ctx, p.client)
	p.recorder = p.events.By("skiff-api")
	if err := o.makeTraffic(p, at); err != nil {
		return nil, err
	}
	o.makeWorker(p, at)
	if err := o.makeControllers(p, at, kinds); err != nil {
		return nil, err
	}
	return p, nil
}

// makeAPI makes the API server, and the clients by which the other parts reach
// it.
func (o *Orchestrator) makeAPI(p *parts, at *site, st *store.Store, kinds []*resource.Definition) (err error) {
	names := []net.IP{at.api.IP, at.services.APIServiceIP().AsSlice()}
	if p.pki, err = apiserver.LoadPKI(o.paths.PKI, names, time.Now()); err != nil {
		return err
	}
	p.server = apiserver.New(apiserver.Options{
		Store:       st,
		Resources:   kinds,
		Logs:        p,
		Sessions:    p,
		Metrics:     p,
		Ready:       p.readiness,
		Ineffective: p.noteIneffective,
		Log:         p.log,
		Version:     o.options.Version,
		Tokens:      p.pki.Tokens(),
	})
	if p.client, err = kubernetes.NewForConfig(inProcess(p.server)); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if p.metadata, err = metadata.NewForConfig(inProcess(p.server)); err != nil {
		return fmt.Errorf("make metadata client: %w", err)
	}
	return nil
}

// makeTraffic makes what forwards, here and in the gateway, and what counts it.
func (o *Orchestrator) makeTraffic(p *parts, at *site) (err error) {
	if p.inside, err = o.inside(p.engine, at.ranges, at.api, p.takeInside); err != nil {
		return err
	}
	p.receipts = receipt.New(receipt.Options{Client: p.client, Factory: p.factory, Counts: p.Counts, Clock: clock.RealClock{}, Log: p.log})
	p.director = traffic.New(traffic.Options{
		Client: p.client, Factory: p.factory, Host: p.front(), Inside: p.inside,
		Own:      []netip.Prefix{at.ranges.Services, netip.PrefixFrom(at.ranges.Gateway, at.ranges.Gateway.BitLen())},
		Recorder: p.events.By("skiff-proxy"), Log: p.log,
		Loopbacks: at.loopbacks, Names: o.options.Ingress != nil,
		Drained: p.receipts.Drained,
	})
	p.metrics = metrics.New(metrics.Options{
		Counts: p.Counts, Gateway: p.inside.Use, API: p.server.EachRequests,
		Services: p.factory.Services().Lister(), Pods: p.factory.Pods().Lister(),
	})
	if o.options.Ingress == nil {
		return nil
	}
	p.doors, err = ingress.New(ingress.Options{
		Client: p.client, Factory: p.factory, Board: p.board, Nowhere: p.proxy.NewPool(),
		Ports: *o.options.Ingress, GoesOn: p.goesOn, Dir: o.paths.PKI, Instance: o.options.Name,
		Recorder: p.events.By("skiff-ingress"), Log: p.log,
		Named: p.director.Named,
	})
	return err
}

func (o *Orchestrator) makeWorker(p *parts, at *site) {
	p.worker = node.New(node.Options{
		Client: p.client, Factory: p.factory, Engine: namedEngine{p.engine, p.inside.Up()}, Traffic: p.director,
		Logins:    keyring.Docker{Dir: keyring.DockerDir()},
		Addresses: at.ranges.Pods, HostIP: at.machineIP, DNS: at.ranges.Gateway,
		Machine: at.machine, Capacity: o.options.capacity(),
		Version: o.options.Version, DataDir: o.paths.Dir, Log: p.log,
	})
}

func (o *Orchestrator) makeControllers(p *parts, at *site, kinds []*resource.Definition) (err error) {
	p.deployments = deployment.New(p.client, p.factory, p.log, clock.RealClock{})
	p.replicaSets = replicaset.New(p.client, p.factory, p.log, clock.RealClock{})
	p.services = service.New(p.client, p.factory, p.log, service.API{
		ClusterIP: at.services.APIServiceIP(), Address: at.machineIP, Port: int32(at.api.Port),
	})
	p.claims = claim.New(p.client, p.factory, p.engine, p.log)
	p.disruptions = disruption.New(p.client, p.factory, p.log, clock.RealClock{})
	p.garbage, err = gc.New(gc.Options{
		Client: p.client, Metadata: p.metadata, Factory: p.factory,
		Resources: kinds, RootCA: p.pki.CA(), Log: p.log,
	})
	return err
}
