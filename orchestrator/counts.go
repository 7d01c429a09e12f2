package orchestrator

import (
	"context"
	"io"
	"sync"
	"time"

	"skiff/proxy/switchboard"
)

// recountPatience is how long what reads the counts waits for a gateway that
// does not answer. What it said last is a few seconds old.
const recountPatience = 5 * time.Second

// The fronts whose counts are added up.
const (
	hostFront    = "host"
	gatewayFront = "gateway"
	elderFront   = "elder" // this host's, by the process that handed over
)

func (p *parts) takeInside(counts switchboard.Counts) { p.ledger.Take(gatewayFront, counts) }

func (e *estate) takeElder(counts switchboard.Counts) { e.ledger.Take(elderFront, counts) }

// count is what was counted on this host up to now.
func (e *estate) count(ctx context.Context) switchboard.Counts {
	if e.elder != nil {
		if err := e.elder.Recount(ctx); err != nil {
			e.log.Debug("read the counts of the process that handed over", "error", err)
		}
	}
	e.ledger.Take(hostFront, e.board.Counts())
	if e.elder != nil {
		select {
		case <-e.elder.Gone():
			e.ledger.Settle(elderFront, hostFront)
		default:
		}
	}
	return e.ledger.Sum(hostFront, elderFront)
}

// Counts is what was counted of every Service up to now, at the host and between
// Pods.
func (p *parts) Counts(ctx context.Context) switchboard.Counts {
	ctx, cancel := context.WithTimeout(ctx, recountPatience)
	defer cancel()
	var asking sync.WaitGroup
	asking.Go(func() { p.count(ctx) })
	if err := p.inside.Recount(ctx); err != nil {
		p.log.Debug("read the gateway's counts", "error", err)
	}
	asking.Wait()
	return p.ledger.Sum()
}

// WriteMetrics lets the API server, which is made first, ask for the metrics.
func (p *parts) WriteMetrics(ctx context.Context, w io.Writer) error {
	return p.metrics.WriteMetrics(ctx, w)
}
