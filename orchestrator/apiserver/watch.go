package apiserver

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/orchestrator/store"
)

const (
	// Upstream's bounds for a watch that does not say how long it lasts: they
	// differ, so that not all clients come back at the same moment.
	minWatch = 30 * time.Minute
	maxWatch = 60 * time.Minute

	bookmarkEvery = time.Minute
)

// watching is one watch being served.
type watching struct {
	server   *Server
	request  *request
	selected selector
	options  *metav1.ListOptions
	events   *store.Watch
	writer   *eventWriter
}

func (s *Server) watch(r *request) error {
	options, err := r.listOptions()
	if err != nil {
		return err
	}
	selected, err := newSelector(r.kind, options)
	if err != nil {
		return err
	}
	from, err := parseRevision(options.ResourceVersion)
	if err != nil {
		return err
	}
	wantsInitial := options.SendInitialEvents != nil && *options.SendInitialEvents
	if wantsInitial {
		if err := s.checkFresh(options.ResourceVersion); err != nil {
			return err
		}
	}
	w := &watching{server: s, request: r, selected: selected, options: options, writer: newEventWriter(s, r)}
	var initial found
	if wantsInitial || (from == 0 && options.SendInitialEvents == nil) {
		if initial, err = s.find(r.kind, r.namespace, &metav1.ListOptions{LabelSelector: options.LabelSelector, FieldSelector: options.FieldSelector}); err != nil {
			return err
		}
		if from, err = parseRevision(initial.meta.ResourceVersion); err != nil {
			return err
		}
	} else if from == 0 {
		from = s.store.Revision()
	}
	w.events, err = s.store.Watch(r.kind.Storage(), r.namespace, from)
	if err != nil && !errors.Is(err, store.ErrExpired) {
		return err
	}
	s.beginStream(r, r.out.contentType())
	if err != nil {
		w.fail(err)
		return nil
	}
	defer w.events.Close()
	ctx, done := s.stream(r)
	defer done()
	if w.sendInitial(initial, wantsInitial, from) == nil {
		w.run(ctx)
	}
	return nil
}

// sendInitial writes what there is, and then, if that was asked for, the
// bookmark by which clients know that they have all of it.
func (w *watching) sendInitial(initial found, marked bool, revision uint64) error {
	for _, obj := range initial.objects {
		if err := w.writer.write(watch.Added, obj); err != nil {
			return err
		}
	}
	if marked && w.options.AllowWatchBookmarks {
		return w.bookmark(revision, map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	return w.writer.flush()
}

// run sends events until the client leaves, the time is over or the server ends.
func (w *watching) run(ctx context.Context) {
	end := time.Now().Add(w.length())
	for {
		next := time.Now().Add(bookmarkEvery)
		if next.After(end) {
			next = end
		}
		err := w.sendUntil(ctx, next)
		switch {
		case err == nil && w.options.AllowWatchBookmarks:
			if w.bookmark(w.events.Revision(), nil) != nil {
				return
			}
		case err != nil:
			w.fail(err)
			return
		}
		if ctx.Err() != nil || !time.Now().Before(end) {
			return
		}
	}
}

// sendUntil sends events up to the deadline. nil means that it is reached.
func (w *watching) sendUntil(ctx context.Context, deadline time.Time) error {
	until, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for {
		events, err := w.events.Next(until)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, event := range events {
			if err := w.send(event); err != nil {
				return err
			}
		}
		if err := w.writer.flush(); err != nil {
			return err
		}
	}
}

// send tells of one change in terms of what the selector shows: an object that
// comes into it is added, one that leaves it is deleted.
func (w *watching) send(event store.Event) error {
	kind := w.request.kind
	var before, after object
	var err error
	if event.Prev != nil {
		if before, err = w.server.decode(kind, event.PrevModified, event.Prev); err != nil {
			return err
		}
	}
	if event.Value != nil {
		if after, err = w.server.decode(kind, event.Revision, event.Value); err != nil {
			return err
		}
	}
	was := before != nil && w.selected.matches(before)
	is := after != nil && w.selected.matches(after)
	switch {
	case is && was:
		return w.writer.write(watch.Modified, after)
	case is:
		return w.writer.write(watch.Added, after)
	case was:
		last := shallow(before)
		last.SetResourceVersion(formatRevision(event.Revision))
		return w.writer.write(watch.Deleted, last)
	}
	return nil
}

func (w *watching) bookmark(revision uint64, annotations map[string]string) error {
	mark := w.request.kind.New()
	mark.SetResourceVersion(formatRevision(revision))
	mark.SetAnnotations(annotations)
	if err := w.writer.write(watch.Bookmark, mark); err != nil {
		return err
	}
	return w.writer.flush()
}

// fail tells the client why its watch ends, where it can do something about it.
func (w *watching) fail(err error) {
	if !errors.Is(err, store.ErrExpired) {
		return
	}
	status := apierrors.NewResourceExpired("too old resource version: " + w.options.ResourceVersion).Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	if w.writer.writeStatus(&status) == nil {
		_ = w.writer.flush() // the client may have left; the watch ends either way
	}
}

func (w *watching) length() time.Duration {
	if seconds := w.options.TimeoutSeconds; seconds != nil && *seconds > 0 {
		return time.Duration(min(*seconds, math.MaxInt32)) * time.Second
	}
	return minWatch + rand.N(maxWatch-minWatch)
}

// beginStream sends the header of an answer that has no end yet.
func (s *Server) beginStream(r *request, contentType string) {
	header := r.w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-cache, private")
	s.begin(r, http.StatusOK)
}
