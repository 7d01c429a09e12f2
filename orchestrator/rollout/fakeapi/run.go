package fakeapi

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"skiff/orchestrator/informer"
)

// Run has the controllers that are made with a factory work on the API until the
// test ends. The test must be a bubble of time.
func (a *API) Run(t *testing.T, controllers func(*informer.Factory) []func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	factory := informer.NewFactory(a.Client)
	var running sync.WaitGroup
	for _, run := range controllers(factory) {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("controller ended: %v", err)
			}
		})
	}
	factory.Start(ctx.Done())
	t.Cleanup(func() {
		cancel()
		running.Wait()
		factory.Wait()
	})
	a.Settle()
}

// Settle lets the controllers do all that they can do now, and lets so much of
// the bubble's time pass that refused writes are tried again.
func (a *API) Settle() {
	synctest.Wait()
	time.Sleep(200 * time.Millisecond)
	synctest.Wait()
}
