package node

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"

	"skiff/runtime/container"
)

// mostRemovals is how often the removal of a volume is tried that a container
// has: one that is on its way out lets it go within moments.
const mostRemovals = 8

// lookForOrphanVolumes has the loop remove the volumes of Pods that are gone.
func (w *Worker) lookForOrphanVolumes(ctx context.Context) {
	w.tasks.Go(func() {
		list, err := w.Engine.Volumes(ctx)
		if err != nil {
			w.Log.Warn("volumes left behind are not removed", "error", err)
			return
		}
		select {
		case w.stored <- list:
		case <-ctx.Done():
		}
	})
}

func (w *Worker) removeOrphanVolumes(ctx context.Context, list []container.Volume) {
	for _, v := range list {
		if v.Pod != "" && w.pods[types.UID(v.Pod)] == nil {
			w.tasks.Go(func() { w.removeOrphanVolume(ctx, v.Name) })
		}
	}
}

func (w *Worker) removeOrphanVolume(ctx context.Context, name string) {
	for failures := 1; ; failures++ {
		err := w.Engine.RemoveVolume(ctx, name)
		if err == nil {
			return
		}
		if errors.Is(err, container.ErrConflict) && failures >= mostRemovals {
			w.Log.Warn("a volume without a Pod is not removed: a container has it", "volume", name, "error", err)
			return
		}
		if !pause(ctx, retryDelay(failures)) {
			return
		}
	}
}
