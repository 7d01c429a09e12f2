package orchestrator

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"

	"skiff/orchestrator/service/allocation"
	"skiff/orchestrator/store"
	"skiff/proxy"
	"skiff/runtime/container"
	"skiff/runtime/docker"
)

// site is what the parts are told of where the instance is.
type site struct {
	machine   container.Info // the engine's
	machineIP netip.Addr     // as Pods see it
	ranges    container.Ranges
	services  allocation.Ranges
	api       *net.TCPAddr
	loopbacks []string
}

// survey opens the engine and the API's address, where they are not open yet,
// and finds out the rest.
func (o *Orchestrator) survey(ctx context.Context, st *store.Store, e *estate) (_ *site, err error) {
	if e.engine == nil { // else this process has run the instance before
		if e.engine, err = o.dockerEngine(ctx, st); err != nil {
			return nil, err
		}
	}
	at := &site{}
	if at.machine, err = e.engine.Info(ctx); err != nil {
		return nil, err
	}
	subnet, err := network(ctx, st, e.engine)
	if err != nil {
		return nil, err
	}
	at.machineIP = subnet.Addr().Next()
	if at.ranges, err = container.Split(subnet); err != nil {
		return nil, err
	}
	if e.api == nil {
		if e.api, err = listenAPI(o.options.Listen); err != nil {
			return nil, err
		}
	}
	at.api = e.api.Addr().(*net.TCPAddr)
	var noIPv6 error
	if at.loopbacks, noIPv6 = proxy.Loopbacks(ctx); noIPv6 != nil {
		e.log.Info("this machine has no ::1; services are reached at 127.0.0.1 only", "error", noIPv6)
	}
	at.services = allocation.Ranges{
		ClusterIPs: at.ranges.Services,
		Taken:      func(port int32) bool { return proxy.Taken(ctx, at.loopbacks, port) },
	}
	return at, nil
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

func listenAPI(address string) (*net.TCPListener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open the API's address: %w (\"--listen 127.0.0.1:0\" picks a free port)", err)
	}
	return l.(*net.TCPListener), nil
}
