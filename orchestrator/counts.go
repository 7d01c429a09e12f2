package orchestrator

import (
	"context"
	"io"
	"time"

	"skiff/proxy/switchboard"
)

// recountPatience is how long what reads the counts waits for a gateway that
// does not answer. What it said last is a few seconds old.
const recountPatience = 5 * time.Second

func (p *parts) take(fromGateway switchboard.Counts) { p.ledger.Take("gateway", fromGateway) }

// Counts is what was counted of every Service up to now, at the host and between
// Pods.
func (p *parts) Counts(ctx context.Context) switchboard.Counts {
	ctx, cancel := context.WithTimeout(ctx, recountPatience)
	defer cancel()
	if err := p.inside.Recount(ctx); err != nil {
		p.log.Debug("read the gateway's counts", "error", err)
	}
	p.ledger.Take("host", p.board.Counts())
	return p.ledger.Sum()
}

// WriteMetrics lets the API server, which is made first, ask for the metrics.
func (p *parts) WriteMetrics(ctx context.Context, w io.Writer) error {
	return p.metrics.WriteMetrics(ctx, w)
}
