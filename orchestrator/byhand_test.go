package orchestrator_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"skiff/runtime/container"
	"skiff/runtime/docker"
)

// engineByHand is the engine without skiff: what a script would do.
type engineByHand struct {
	engine *docker.Engine
	first  netip.Addr
}

func byHand(b *testing.B) *engineByHand {
	e, err := docker.New(docker.Options{Instance: "bench-by-hand", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Purge(ctx); err != nil {
			b.Error(err)
		}
		e.Close()
	})
	subnet, err := e.EnsureNetwork(b.Context(), netip.Prefix{})
	if err != nil {
		b.Fatal(err)
	}
	ranges, err := container.Split(subnet)
	if err != nil {
		b.Fatal(err)
	}
	return &engineByHand{e, ranges.Pods.Addr().Next()}
}

// once takes a container from create to its first answer, and removes it.
func (h *engineByHand) once(b *testing.B, n int) time.Duration {
	begin := time.Now()
	id, err := h.run(b.Context(), n, h.address(n))
	took := time.Since(begin)
	if err == nil {
		err = h.engine.Remove(b.Context(), id)
	}
	if err != nil {
		b.Fatal(err)
	}
	return took
}

// restart takes the n-th container from create to its first answer, and then ends
// it and takes the next one, at the same address, to its first answer.
func (h *engineByHand) restart(b *testing.B, n int) (plain, again time.Duration) {
	begin := time.Now()
	first, err := h.run(b.Context(), n, h.address(n))
	if err != nil {
		b.Fatal(err)
	}
	plain, begin = time.Since(begin), time.Now()
	if err := h.engine.Stop(b.Context(), first, 0); err != nil {
		b.Fatal(err)
	}
	second, err := h.run(b.Context(), n+1, h.address(n))
	if err != nil {
		b.Fatal(err)
	}
	again = time.Since(begin)
	h.removeAll(b, []string{first, second})
	return plain, again
}

// address is the n-th container's.
func (h *engineByHand) address(n int) netip.Addr {
	address := h.first
	for range n % 1000 {
		address = address.Next()
	}
	return address
}

// run takes the n-th container from create to its first answer.
func (h *engineByHand) run(ctx context.Context, n int, address netip.Addr) (id string, err error) {
	image, err := h.engine.Image(ctx, webImage)
	if err != nil {
		return "", err
	}
	id, err = h.engine.Create(ctx, container.Spec{
		Pod: container.Pod{Namespace: "default", Name: "by-hand", UID: "by-hand"}, Name: "web", Attempt: n,
		ImageID: image.ID, Image: webImage, Env: []string{"RUDE=true"}, Hostname: "by-hand",
		Network: container.Network{Address: address},
	})
	if err != nil {
		return "", err
	}
	if err := h.engine.Start(ctx, id); err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := client.Get(fmt.Sprintf("http://%s:8080/healthz", address))
		if err == nil {
			return id, resp.Body.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// runAll runs the containers numbered from first on, as many at a time as keep
// the engine busy.
func (h *engineByHand) runAll(b *testing.B, first, count int) []string {
	ids := make([]string, count)
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(2 * runtime.NumCPU())
	for i := range ids {
		group.Go(func() (err error) {
			ids[i], err = h.run(ctx, first+i, h.address(first+i))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return ids
}

func (h *engineByHand) removeAll(b *testing.B, ids []string) {
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(2 * runtime.NumCPU())
	for _, id := range ids {
		group.Go(func() error { return h.engine.Remove(ctx, id) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}
