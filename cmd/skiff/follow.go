package main

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/dynamic"
)

// look is what a command sees of an object that it follows: nil where there is
// none, or none any more. It says whether it has seen enough.
type look func(*unstructured.Unstructured) (done bool, err error)

// follow looks at an object as it is, and again whenever it changes, until the
// look is done or fails, or ctx ends. A watch that ends is begun anew.
func (r *request) follow(ctx context.Context, info *resource.Info, look look) error {
	config, err := r.ToRESTConfig()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	objects := client.Resource(info.Mapping.Resource).Namespace(info.Namespace)
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", info.Name).String()}
	for {
		// The version of a list is one that can be watched from. That of an object
		// may be older than all that the server remembers.
		list, err := objects.List(ctx, options)
		if err != nil {
			return canceled(ctx, err)
		}
		var obj *unstructured.Unstructured
		if len(list.Items) > 0 {
			obj = &list.Items[0]
		}
		if done, err := look(obj); done || err != nil {
			return err
		}
		from := options
		from.ResourceVersion = list.GetResourceVersion()
		if done, err := followFrom(ctx, objects, from, look); done || err != nil {
			return canceled(ctx, err)
		}
	}
}

// followFrom looks at an object's changes until the look is done or the watch
// ends.
func followFrom(ctx context.Context, objects dynamic.ResourceInterface, from metav1.ListOptions, look look) (done bool, err error) {
	events, err := objects.Watch(ctx, from)
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer events.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case event, open := <-events.ResultChan():
			if !open || event.Type == watch.Error {
				return false, pause(ctx, 100*time.Millisecond)
			}
			changed, ok := event.Object.(*unstructured.Unstructured)
			if !ok || event.Type == watch.Bookmark {
				continue
			}
			if event.Type == watch.Deleted {
				changed = nil
			}
			if done, err := look(changed); done || err != nil {
				return done, err
			}
		}
	}
}

// canceled prefers the reason why ctx ended to what ended because of it.
func canceled(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
