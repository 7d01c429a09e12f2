package node

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"skiff/runtime/container"
)

// event passes on what happened to a container. Where events were missed,
// everything is looked at again.
func (w *Worker) event(ctx context.Context, e container.Event) {
	if e.Action == container.EngineLost || e.Action == container.EngineBack {
		w.engineEvent(ctx, e.Action)
		return
	}
	if e.ContainerID == "" {
		for _, p := range w.pods {
			p.send(p.recheck)
		}
		w.lookForOrphans(ctx)
		return
	}
	p := w.pods[types.UID(e.Pod.UID)]
	switch {
	case p != nil:
		p.send(func() { p.happened(e) })
	case e.Action == "create" || e.Action == "start":
		// A creation that was cut short has come through after all.
		w.removeOrphan(ctx, e.ContainerID)
	}
}

// happened takes note of an event of one of the Pod's containers.
func (p *pod) happened(e container.Event) {
	u := p.s.unit(e.Name)
	if u == nil {
		return
	}
	current := u.cur != nil && u.cur.ID == e.ContainerID
	switch e.Action {
	case "die", "destroy":
		switch {
		case current && e.Action == "die" && u.ended() && !p.s.restarts(u): // what somebody made of it
		case current:
			u.suspect, u.down, u.excused = true, true, p.s.outage || u.stranded || u.disturbed
			u.outdated = p.s.busy(opInspect, u.name)
			p.s.strand(e.ContainerID)
		case p.s.busy(opStart, u.name):
			u.early = append(u.early, e.ContainerID)
		}
	case "disconnect", "pause", "unpause":
		u.suspect = u.suspect || current && u.running()
	case "start":
		switch {
		case current && p.s.busy(opInspect, u.name):
			u.outdated = true
		case current && u.ended():
			p.revived(u, u.cur)
		case u.last != nil && u.last.ID == e.ContainerID:
			p.revived(u, u.last)
		}
	}
}

// tellOfRunning tells Pods which of their containers run: that one was started again
// may be among what was missed.
func (w *Worker) tellOfRunning(list []container.Status) {
	for _, st := range list {
		if p := w.pods[types.UID(st.Pod.UID)]; p != nil && st.State == container.Running {
			p.send(func() { p.happened(container.Event{ContainerID: st.ID, Name: st.Name, Action: "start"}) })
		}
	}
}

// recheck has every container inspected that is thought to be running.
func (p *pod) recheck() {
	for _, u := range p.s.all() {
		if u.running() {
			u.suspect = true
		}
	}
}
