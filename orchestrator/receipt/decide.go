package receipt

import (
	"time"

	"skiff/orchestrator/rollout"
)

// begins says whether a rollout begins that is not followed yet: the template
// is another than that of the last look. Of a Deployment that was there before
// skiff, whose template may have changed at any time, it is one that is not at
// its end; Pods that only start again, as after "skiff down", are none. What is
// paused begins when it goes on.
func (l look) begins(c *course) bool {
	d := l.deployment
	switch {
	case d.Spec.Paused, d.DeletionTimestamp != nil:
		return false
	case c.seen == d.UID:
		return !rollout.SameTemplate(c.template, &d.Spec.Template)
	case c.earlier:
		return l.underWay() != nil || !rollout.IsComplete(d, &d.Status) && !l.isTold()
	}
	return true
}

// isTold says whether the newest rollout has its receipt.
func (l look) isTold() bool {
	if l.current == nil {
		return false
	}
	r, ok := Of(l.current)
	return ok && r.Ended != nil && r.Revision >= rollout.NextRevision(l.old)
}

// underWay is what an earlier run of skiff has said of the rollout, if it did
// not see its end.
func (l look) underWay() *Receipt {
	if l.current == nil {
		return nil
	}
	if r, ok := Of(l.current); ok && r.Ended == nil {
		return &r
	}
	return nil
}

// begin is a rollout that is seen for the first time.
func (l look) begin(c *course) *progress {
	p := &progress{receipt: Receipt{Deployment: l.deployment.Name, Partial: c.earlier && c.seen != l.deployment.UID}}
	for _, rs := range l.old {
		if n := rollout.Revision(rs); n > p.receipt.From {
			p.receipt.From, p.from = n, rs.Name
		}
	}
	return p
}

// beginning is when a rollout began that is seen for the first time.
func (r *run) beginning(c *course, at look) time.Time {
	if earlier := at.underWay(); earlier != nil && c.seen != at.deployment.UID {
		return earlier.Began
	}
	return r.Clock.Now()
}

// names are those of all the Deployment's ReplicaSets.
func (l look) names() []string {
	var names []string
	for _, rs := range rollout.All(l.current, l.old) {
		names = append(names, rs.Name)
	}
	return names
}
