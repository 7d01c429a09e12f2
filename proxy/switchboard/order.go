package switchboard

import (
	"context"
	"time"

	"skiff/proxy/pool"
)

// Expect has the board of another process expect a back end, or not.
type Expect struct {
	Service  string
	Expected pool.Expectation
}

// Drain has the board of another process drain a back end.
type Drain struct {
	ID      string
	Streams time.Duration // until streams are cut
	Within  time.Duration // until everything is
}

// DrainWithin is a drain that ends with ctx.
func DrainWithin(ctx context.Context, id string, streams time.Duration) *Drain {
	within := longestDrain
	if deadline, ok := ctx.Deadline(); ok {
		within = max(0, time.Until(deadline))
	}
	return &Drain{ID: id, Streams: streams, Within: within}
}

// Await ends what wait waits for when the drain does.
func (d *Drain) Await(ctx context.Context, wait func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.Within)
	defer cancel()
	return wait(ctx)
}
