package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/runtime/container"
)

// removeLeftovers removes the volumes of Pods that do not exist.
func (w *Worker) removeLeftovers(pods map[types.UID]*corev1.Pod) {
	entries, err := os.ReadDir(w.podsDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.Log.Warn("volumes left behind are not removed", "error", err)
	}
	for _, e := range entries {
		uid := types.UID(e.Name())
		if pods[uid] != nil {
			continue
		}
		w.tasks.Go(func() {
			if err := os.RemoveAll(w.podDir(uid)); err != nil {
				w.Log.Warn("volumes left behind are not removed", "error", err)
			}
		})
	}
}

// removeOrphans removes the containers whose Pod does not exist.
func (w *Worker) removeOrphans(ctx context.Context, list []container.Status) {
	for _, st := range list {
		if w.pods[types.UID(st.Pod.UID)] == nil {
			w.removeOrphan(ctx, st.ID)
		}
	}
}

func (w *Worker) removeOrphan(ctx context.Context, id string) {
	w.tasks.Go(func() { w.insistOnRemoval(ctx, id) })
}

func (w *Worker) insistOnRemoval(ctx context.Context, id string) {
	_ = w.insist(ctx, "a container without a Pod is not removed", func() error { return w.Engine.Remove(ctx, id) }, "container", id)
}

// remnantsPatience is how long a sandbox without a Pod may stay, waiting for a lull.
const remnantsPatience = time.Minute

// removeAtLeisure removes a container without a Pod when the engine has nothing
// better to do.
func (w *Worker) removeAtLeisure(ctx context.Context, id string) {
	w.tasks.Go(func() {
		calm, cancel := context.WithTimeout(ctx, remnantsPatience)
		defer cancel()
		if leave, err := w.turns.leisure(calm); err == nil {
			defer leave()
		}
		if err := w.Engine.Remove(ctx, id); err != nil {
			w.removeOrphan(ctx, id)
		}
	})
}

// orphansPatience bounds how long skiff goes down for their sake. What it leaves, the
// next Run removes.
const orphansPatience = 10 * time.Second

// clearOrphans removes now what else would be removed in its time.
func (w *Worker) clearOrphans(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, orphansPatience)
	defer cancel()
	list, err := w.Engine.List(ctx)
	if err != nil {
		w.Log.Warn("containers without a Pod are not looked for", "error", err)
		return
	}
	exists := map[string]bool{}
	for _, obj := range w.informer.GetIndexer().List() {
		if pod, ok := obj.(*corev1.Pod); ok {
			exists[string(pod.UID)] = true
		}
	}
	var removals sync.WaitGroup
	for _, st := range list {
		if !exists[st.Pod.UID] {
			removals.Go(func() { w.insistOnRemoval(ctx, st.ID) })
		}
	}
	removals.Wait()
}

// lookForOrphans has the loop remove what the engine has of no Pod.
func (w *Worker) lookForOrphans(ctx context.Context) {
	w.lookForOrphanVolumes(ctx)
	w.tasks.Go(func() {
		list, err := w.list(ctx)
		if err != nil {
			return
		}
		select {
		case w.listed <- list:
		case <-ctx.Done():
		}
	})
}
