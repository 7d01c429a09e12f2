package orchestrator

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"skiff/orchestrator/apiserver"
	"skiff/orchestrator/ingress"
	"skiff/orchestrator/store"
)

// Run runs the instance until ctx ends, then returns when all of its
// goroutines have. Containers are left running, to be adopted by the next Run:
// who wants them stopped calls StopPods first. ErrRunning: another process
// holds the data directory.
func (o *Orchestrator) Run(ctx context.Context) (err error) {
	e, err := o.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.release(o.paths)) }()
	defer o.settle()
	// What was forwarded before goes on while the rest changes hands.
	return within(ctx, e.forward, func(ctx context.Context) error {
		if e.elder == nil {
			return o.rule(ctx, e)
		}
		return within(ctx, e.elder.Run, func(ctx context.Context) error { return o.rule(ctx, e) })
	})
}

// rule governs the instance until ctx ends or another process has taken over
// and nothing is left to be done here.
func (o *Orchestrator) rule(ctx context.Context, e *estate) error {
	for {
		if err := o.govern(ctx, e); err != nil || ctx.Err() != nil || e.heir.Load() == nil {
			return err
		}
		if o.bequeath(ctx, e) {
			return o.linger(ctx, e)
		}
	}
}

// govern runs the store and all that works on it, until ctx ends or an heir asks
// for the instance.
func (o *Orchestrator) govern(ctx context.Context, e *estate) (err error) {
	st, err := store.Open(o.paths.State)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// What others write to must outlive them: the store ends last, then the API.
	return within(ctx, st.Run, func(ctx context.Context) error {
		p, err := o.assemble(ctx, st, e)
		if err != nil {
			return err
		}
		return within(ctx, p.server.Run, func(ctx context.Context) error { return o.work(ctx, p, stop) })
	})
}

// within runs inner while base runs: base's context ends only after inner has
// returned, and inner's ends early if base fails.
func within(ctx context.Context, base, inner func(context.Context) error) error {
	baseCtx, endBase := context.WithCancel(context.WithoutCancel(ctx))
	defer endBase()
	innerCtx, endInner := context.WithCancel(ctx)
	defer endInner()
	ended := make(chan error, 1)
	go func() {
		defer endInner()
		ended <- base(baseCtx)
	}()
	err := inner(innerCtx)
	endBase()
	return errors.Join(err, <-ended)
}

// work runs every part until ctx ends or one of them fails. It calls stop when an
// heir asks.
func (o *Orchestrator) work(ctx context.Context, p *parts, stop func()) error {
	defer p.events.Close()
	group, ctx := errgroup.WithContext(ctx)
	running := []func(context.Context) error{
		p.serve, p.inside.Run, p.director.Run, p.worker.Run,
		p.deployments.Run, p.replicaSets.Run, p.services.Run, p.claims.Run, p.disruptions.Run, p.garbage.Run,
		p.receipts.Run,
	}
	if p.doors != nil {
		running = append(running, p.runDoors)
	}
	for _, run := range running {
		group.Go(func() error { return run(ctx) })
	}
	group.Go(func() error {
		if err := o.becomeReady(ctx, p); err != nil && ctx.Err() == nil {
			return err
		}
		if p.awaitHeir(ctx) {
			o.unsettle()
			stop()
		}
		return nil
	})
	err := group.Wait()
	// Not within the group: only an error that has left it ends the informers.
	p.factory.Wait()
	return err
}

// becomeReady makes what clients expect on every instance, starts the informers
// and, once their caches are filled, tells where the API is.
func (o *Orchestrator) becomeReady(ctx context.Context, p *parts) error {
	if err := p.garbage.Bootstrap(ctx); err != nil {
		return err
	}
	if err := p.services.Bootstrap(ctx); err != nil {
		return err
	}
	doors := p.withdraw
	if p.doors != nil {
		doors = p.doors.Bootstrap
	}
	if err := doors(ctx); err != nil {
		return err
	}
	p.factory.Start(ctx.Done())
	p.factory.WaitForCacheSync(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	address := p.api.Addr().String()
	if err := apiserver.WriteKubeconfig(o.paths.Kubeconfig, p.pki.Kubeconfig(ContextName(o.options.Name), "https://"+address)); err != nil {
		return err
	}
	if err := p.serves(ctx); err != nil {
		return err
	}
	p.ready.Store(true)
	if err := p.inherit(ctx, o.paths); err != nil {
		return err
	}
	p.attend(o)
	o.mu.Lock()
	o.address, o.stopPods = address, p.stopPods
	o.mu.Unlock()
	o.settle()
	o.begun.Do(func() { close(o.ready) })
	o.options.Log.Info("ready", "api", address)
	return nil
}

// serves returns when everything is forwarded that was before: only then does
// a process that hands over leave.
func (p *parts) serves(ctx context.Context) error {
	begun := []<-chan struct{}{p.director.Begun()}
	if p.doors != nil {
		begun = append(begun, p.doors.Begun())
	}
	for _, b := range begun {
		select {
		case <-b:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// withdraw says that Ingresses are not served.
func (p *parts) withdraw(ctx context.Context) error { return ingress.Withdraw(ctx, p.client) }

// runDoors waits for the Services: those that are not forwarded would lose their
// names for a moment.
func (p *parts) runDoors(ctx context.Context) error {
	select {
	case <-p.director.Begun():
		return p.doors.Run(ctx)
	case <-ctx.Done():
		return nil
	}
}

// stopPods stops the containers, those first that others reach by the gateway.
func (p *parts) stopPods(ctx context.Context) error {
	p.ready.Store(false)
	p.director.Halt()
	if err := p.worker.Shutdown(ctx); err != nil {
		return err
	}
	return p.inside.Shutdown(ctx)
}

// ContextName is what the instance is called in its kubeconfig.
func ContextName(instance string) string {
	if instance == DefaultName {
		return "skiff"
	}
	return "skiff-" + instance
}
