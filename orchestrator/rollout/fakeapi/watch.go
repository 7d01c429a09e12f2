package fakeapi

import (
	"fmt"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"
)

// Hold stops the watches of a resource from showing what happens from now on.
func (a *API) Hold(resource string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tables[resource]
	if !t.held {
		t.held, t.shown = true, len(t.log)
	}
}

// Show lets the watches of a held resource show up to n more changes, and gives
// how many it has yet to show.
func (a *API) Show(resource string, n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tables[resource]
	if !t.held {
		return 0
	}
	t.shown = min(len(t.log), t.shown+n)
	a.wake.Broadcast()
	return len(t.log) - t.shown
}

// Release lets the watches of a resource show everything at once again.
func (a *API) Release(resource string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tables[resource].held = false
	a.wake.Broadcast()
}

func (a *API) watch(action clienttesting.Action) (bool, watch.Interface, error) {
	t, ok := a.tables[action.GetResource().Resource]
	if !ok {
		return true, nil, fmt.Errorf("no such resource: %s", action.GetResource().Resource)
	}
	since, err := strconv.ParseInt(action.(clienttesting.WatchActionImpl).ListOptions.ResourceVersion, 10, 64)
	if err != nil {
		return true, nil, fmt.Errorf("read resource version: %w", err)
	}
	w := &watcher{api: a, table: t, results: make(chan watch.Event), stopped: make(chan struct{})}
	go w.run(since)
	return true, w, nil
}

// watcher shows one table's log from a version on.
type watcher struct {
	api     *API
	table   *table
	results chan watch.Event
	once    sync.Once
	stopped chan struct{}
}

func (w *watcher) ResultChan() <-chan watch.Event { return w.results }

func (w *watcher) Stop() {
	w.once.Do(func() { close(w.stopped) })
	w.api.mu.Lock()
	defer w.api.mu.Unlock()
	w.api.wake.Broadcast()
}

func (w *watcher) run(since int64) {
	defer close(w.results)
	for next := 0; ; next++ {
		c, ok := w.await(next)
		if !ok {
			return
		}
		if c.version <= since {
			continue
		}
		select {
		case w.results <- watch.Event{Type: c.event.Type, Object: c.event.Object.DeepCopyObject()}:
		case <-w.stopped:
			return
		}
	}
}

func (w *watcher) await(next int) (change, bool) {
	w.api.mu.Lock()
	defer w.api.mu.Unlock()
	for {
		limit := len(w.table.log)
		if w.table.held {
			limit = w.table.shown
		}
		select {
		case <-w.stopped:
			return change{}, false
		default:
		}
		if next < limit {
			return w.table.log[next], true
		}
		w.api.wake.Wait()
	}
}
