package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
)

// lease gets the Pod its address, which it keeps until it is gone. A Pod on the
// machine's own network has the machine's.
func (p *pod) lease() task {
	pod := p.s.pod
	return func(context.Context) (func(), error) {
		if pod.Spec.HostNetwork {
			return func() { p.s.address = p.HostIP }, nil
		}
		a, err := p.addresses.Lease(string(p.uid))
		if err != nil {
			p.events.warn(pod, "", reasonNoAddress, "Failed to create pod sandbox: %v", err)
			return nil, err
		}
		return func() { p.s.address = a }, nil
	}
}

// start makes the next attempt at a container, or at the sandbox.
func (p *pod) start(u *unit) task {
	u.early = nil
	if u.name == container.SandboxName {
		return p.startSandbox(u)
	}
	pod, c, image, spare := p.s.pod, p.s.spec(u.name), *u.image, u.spare
	specify := p.specify(u, p.s.sandbox)
	return func(ctx context.Context) (func(), error) {
		create := func(context.Context) (*attempt, error) { return spare, nil }
		user := func() *corev1.ContainerUser { return spare.User }
		if spare == nil {
			spec, err := specify(ctx)
			switch {
			case err == nil:
			case ctx.Err() != nil || unavailable(err): // says nothing of the container
				return nil, err
			default:
				return p.misconfigured(u, pod, c, err)
			}
			user = p.user(ctx, spec, image)
			create = func(ctx context.Context) (*attempt, error) { return p.create(ctx, spec) }
		}
		made, err := p.launch(ctx, create)
		if err == nil && u.role == ephemeral && made.failedToStart() {
			if err := p.networkEnded(ctx, made); err != nil {
				return func() { p.s.old = append(p.s.old, made) }, err
			}
		}
		known := user()
		switch {
		case err == nil:
			made.User = known
			p.events.normal(pod, c.Name, reasonCreated, "Created container: %s", c.Name)
			if made.failedToStart() {
				p.events.warn(pod, c.Name, reasonFailed, "Error: %s", made.Message)
			} else {
				p.events.normal(pod, c.Name, reasonStarted, "Started container %s", c.Name)
			}
			return func() { p.started(u, made) }, nil
		case ctx.Err() != nil || unavailable(err):
			return func() { p.s.stray = true }, err
		}
		p.events.warn(pod, c.Name, reasonFailed, "Error: %v", err)
		return func() { p.notStarted(u, c.Image, err) }, err
	}
}

func (p *pod) startSandbox(u *unit) task {
	pod, spec := p.s.pod, sandboxSpec(p.s, u)
	return func(ctx context.Context) (func(), error) {
		made, err := p.launchSandbox(ctx, func(ctx context.Context) (*attempt, error) { return p.create(ctx, spec) })
		if err != nil {
			if ctx.Err() == nil && !unavailable(err) {
				p.events.warn(pod, "", reasonNoAddress, "Failed to create pod sandbox: %v", err)
			}
			return func() { p.s.stray = true }, err
		}
		return func() { p.started(u, made) }, nil
	}
}

// launchSandbox creates and starts a sandbox, which has nothing that could not be run.
func (p *pod) launchSandbox(ctx context.Context, create func(context.Context) (*attempt, error)) (*attempt, error) {
	made, err := p.launch(ctx, create)
	if err == nil && made.State != container.Running { // since an earlier call, perhaps, which was cut short
		return nil, errors.Join(errors.New("it has ended: "+made.Message), p.Engine.Remove(ctx, made.ID))
	}
	return made, err
}

// launch creates and starts a container. A program that cannot be run is an
// attempt that has ended, not an error; an error says that the engine did not
// do its part, and the same attempt is made again.
func (p *pod) launch(ctx context.Context, create func(context.Context) (*attempt, error)) (*attempt, error) {
	leave, err := p.turns.take(ctx, p.rank())
	if err != nil {
		return nil, err
	}
	defer leave()
	made, err := create(ctx)
	if err != nil || made.State != container.Created {
		return made, err
	}
	a := *made // which whoever tries again will need as it is
	if err := p.Engine.Start(ctx, a.ID); err != nil {
		return p.afterFailedStart(ctx, &a, err)
	}
	a.State = container.Running
	a.StartedAt = time.Now()
	return &a, nil
}

// create makes the container of an attempt, or finds the one that an earlier
// call has made, perhaps even started.
func (p *pod) create(ctx context.Context, spec container.Spec) (*attempt, error) {
	detached := false
	id, err := p.Engine.Create(ctx, spec)
	if errors.Is(err, container.ErrConflict) {
		found, findErr := p.find(ctx, spec)
		if findErr != nil {
			return nil, errors.Join(err, findErr)
		}
		if found.State != container.Created {
			return newAttempt(found), nil
		}
		id, err, detached = found.ID, nil, found.Detached
	}
	if err != nil {
		return nil, err
	}
	return &attempt{Status: container.Status{
		ID: id, Pod: spec.Pod, Name: spec.Name, Attempt: spec.Attempt, Round: spec.Round, Hash: spec.Hash,
		Image: spec.Image, ImageID: spec.ImageID, Address: spec.Network.Address, Sandbox: spec.Network.Sandbox,
		State: container.Created, Detached: detached, CreatedAt: time.Now(),
	}}, nil
}

// find looks for the container that stands in the way of a new one: an earlier
// call was cut off after the engine had got it.
func (p *pod) find(ctx context.Context, spec container.Spec) (container.Status, error) {
	list, err := p.Engine.List(ctx)
	if err != nil {
		return container.Status{}, err
	}
	for _, st := range list {
		if st.Pod.UID == spec.Pod.UID && st.Name == spec.Name && st.Attempt == spec.Attempt {
			return st, nil
		}
	}
	return container.Status{}, fmt.Errorf("find attempt %d of container %s: %w", spec.Attempt, spec.Name, container.ErrNotFound)
}

// afterFailedStart asks the engine what has become of the container: only what
// it says tells a program that cannot be run from an engine out of order.
func (p *pod) afterFailedStart(ctx context.Context, a *attempt, cause error) (*attempt, error) {
	if unavailable(cause) {
		return nil, cause
	}
	st, err := p.Engine.Inspect(ctx, a.ID)
	if err != nil {
		return nil, cause
	}
	switch st.State {
	case container.Running:
		return newAttempt(st), nil
	case container.Exited:
		a = newAttempt(st)
	}
	now := time.Now()
	a.State = container.Exited
	a.StartedAt, a.FinishedAt = now, now
	a.ExitCode = max(st.ExitCode, 1)
	if st.ExitCode == 0 {
		a.ExitCode = 128 // as the kubelet has it for what never ran
	}
	a.Reason = reasonStartError
	a.Message = cause.Error()
	return a, nil
}

// started makes a new attempt the current one.
func (p *pod) started(u *unit, a *attempt) {
	p.s.old = slices.DeleteFunc(p.s.old, func(o *attempt) bool { return o.ID == a.ID })
	if r := u.revival(); r != nil && a.failedToStart() {
		p.reclaim(u, r, a)
		return
	}
	if u.cur != nil && !u.gone && !u.excused && !p.s.bygone(u) {
		u.crash = u.crash.next(u.cur.FinishedAt, time.Now())
	}
	p.s.succeed(u, a)
	u.next = a.Attempt + 1
	u.image, u.wait, u.kill, u.spare = nil, nil, nil, nil
	spec := p.s.spec(u.name)
	u.course = course{hooked: !hasPostStart(spec), disturbed: u.last != nil && u.last.Revived}
	u.expectProbes(spec)
	p.tellLeftBehind()
	if slices.Contains(u.early, a.ID) {
		u.suspect, u.down, u.excused = true, true, p.s.outage || u.disturbed
	}
	if u.ended() {
		p.announceBackOff(u)
	}
}

// succeed makes an attempt the current one. What was the last but one is of no use
// any more.
func (s *state) succeed(u *unit, a *attempt) {
	if u.last != nil {
		s.old = append(s.old, u.last)
	}
	if u.last, u.cur = u.cur, a; u.last != nil {
		u.last.Revived = u.last.Revived || u.last.State == container.Running
	}
	if u.name == container.SandboxName && u.last != nil { // nobody asks how a sandbox ended
		s.old, u.last = append(s.old, u.last), nil
	}
}

// notStarted notes why there is no attempt.
func (p *pod) notStarted(u *unit, ref string, err error) {
	p.s.stray, u.spare = true, nil // the call may have arrived although its answer did not
	if errors.Is(err, container.ErrNotFound) {
		p.images.forget(ref)
		u.image = nil
	}
	u.wait = &waiting{reason: reasonCreateError, message: err.Error(), since: time.Now()}
}

// announceBackOff says so when a container that has ended must wait for its
// next attempt.
func (p *pod) announceBackOff(u *unit) {
	if u.name == container.SandboxName || p.s.leaving() || !p.s.restarts(u) {
		return
	}
	if time.Now().Before(p.s.retryAt(u)) {
		p.events.warn(p.s.pod, u.name, reasonBackOff, "Back-off restarting failed container %s in pod %s", u.name, podName(p.s.pod))
	}
}

// inspect learns what has become of a container, and its last words if it has
// ended.
func (p *pod) inspect(u *unit) task {
	c, id, most := p.s.spec(u.name), u.cur.ID, messageShare(p.s.pod)
	return func(ctx context.Context) (func(), error) {
		st, err := p.Engine.Inspect(ctx, id)
		if err != nil && !errors.Is(err, container.ErrNotFound) {
			return nil, err
		}
		message := ""
		if c != nil && err == nil && st.State == container.Exited {
			message = p.lastWords(ctx, c, st)
			message = strings.ToValidUTF8(message[:min(len(message), most)], "")
		}
		return func() { p.inspected(u, id, st, message, err) }, nil
	}
}

func (p *pod) inspected(u *unit, id string, st container.Status, message string, notFound error) {
	if u.cur == nil || u.cur.ID != id {
		return
	}
	outdated := u.outdated
	u.suspect, u.outdated, u.cur.Revived = false, false, false
	defer func() { u.suspect = u.suspect || outdated }()
	now := time.Now()
	switch {
	case notFound != nil && u.ended():
		u.gone = true
	case notFound != nil:
		u.gone = true
		u.cur.State = container.Exited
		u.cur.FinishedAt = now
		u.cur.ExitCode = 137
		u.cur.Reason = reasonStatusUnknown
		u.cur.Message = "the container was removed from the engine"
	case st.State == container.Exited:
		u.cur.Status, u.cur.Message = st, message
		if st.FinishedAt.After(now) { // the engine's clock is not ours
			u.cur.FinishedAt = now
		}
		p.announceBackOff(u)
	case u.ended() && !p.s.restarts(u):
		u.cur.Revived = true
	case u.ended() || !st.FinishedAt.Equal(u.cur.FinishedAt): // somebody has started it again
		u.cur = &attempt{Status: st, User: u.cur.User}
		u.course, u.wait = course{hooked: u.hooked}, nil
		u.expectProbes(p.s.spec(u.name))
		p.s.strand(id)
	default:
		u.down, u.excused = false, false
		u.cur.Paused, u.cur.Detached = st.Paused, st.Detached
	}
}

// reconnect gives a container its network back, or a sandbox that stood by the
// Pod's. If that cannot have it, another is made.
func (p *pod) reconnect(u *unit) task {
	pod, name, id := p.s.pod, u.name, u.cur.ID
	stoodBy := u == p.s.sandbox && !p.s.joined(id)
	if name == container.SandboxName {
		name = ""
	}
	return func(ctx context.Context) (func(), error) {
		if !stoodBy {
			p.events.warn(pod, name, reasonNetworkLost, "The network was disconnected, connecting it again")
		}
		err := p.Engine.Reconnect(ctx, id)
		switch {
		case err == nil || errors.Is(err, container.ErrNotFound):
		case stoodBy && ctx.Err() == nil && !unavailable(err):
			return func() { p.s.giveUp(u, id) }, err
		default:
			return nil, err
		}
		return func() {
			if u.cur != nil && u.cur.ID == id {
				u.cur.Detached = false
			}
		}, nil
	}
}
