package node

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestInsistEnds: what is given up because the node ends is no failure to warn of.
func TestInsistEnds(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	w := &Worker{shared: shared{Options: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}}
	ctx, cancel := context.WithCancel(t.Context())
	err := w.insist(ctx, "it does not work", func() error {
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || log.Len() > 0 {
		t.Errorf("ended with %v and said %q", err, log.String())
	}
}
