package orchestrator_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"skiff/examples/load/loadtest"
	"skiff/orchestrator/skifftest"
)

const (
	overloadClients   = 32
	overloadWatches   = 4 // of each client
	overloadAnswers   = 300
	overloadForwarded = 100
)

// whileOverloaded has many clients watch everything, and ask the API for
// everything as fast as they can, until it has answered often and so has what
// was forwarded before.
func whileOverloaded(t *testing.T, c *loadtest.Clients, i *skifftest.Instance) {
	t.Helper()
	client, err := rest.HTTPClientFor(i.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	paths := []string{"/api/v1/pods", "/api/v1/events", "/apis/apps/v1/deployments", "/apis/apps/v1/replicasets"}
	ask := func(path string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.Config.Host+path, nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	before, begun := c.Answers(), time.Now()
	var answered atomic.Int64
	var all sync.WaitGroup
	for range overloadClients {
		for n := range overloadWatches {
			all.Go(func() { ask(paths[n] + "?watch=1") })
		}
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if ask(paths[n%len(paths)]) == nil && answered.Add(1) >= overloadAnswers && c.Answers() >= before+overloadForwarded {
					cancel()
				}
			}
		})
	}
	all.Wait()
	took := time.Since(begun)
	forwarded := c.Answers() - before
	t.Logf("%d answers of the API in %v, each after %v; %d requests were forwarded meanwhile",
		answered.Load(), took, took*overloadClients/time.Duration(answered.Load()+1), forwarded)
	if answered.Load() < overloadAnswers || forwarded < overloadForwarded {
		t.Error("the API, or what is forwarded, stands still")
	}
}
