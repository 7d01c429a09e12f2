package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/kubernetes"
	deploymentutil "k8s.io/kubectl/pkg/util/deployment"
)

// rolloutReceipt is what a ReplicaSet says of how its rollout went.
type rolloutReceipt struct {
	Revision int64
	Began    *metav1.Time
	Ended    *metav1.Time // nil: it is under way
	Text     string
}

// receiptOf reads it; there is none where the ReplicaSet was made by something
// else than skiff, or the receipt is of a rollout that it had before.
func receiptOf(set *appsv1.ReplicaSet) (r rolloutReceipt, ok bool) {
	text := set.Annotations["skiff.dev/rollout-receipt"]
	if json.Unmarshal([]byte(text), &r) != nil || r.Began == nil {
		return r, false
	}
	return r, r.Ended == nil || r.Revision == revisionOf(set)
}

func revisionOf(set *appsv1.ReplicaSet) int64 {
	n, err := deploymentutil.Revision(set)
	if err != nil {
		return 0
	}
	return n
}

// printReceipt prints how the newest rollout of a Deployment went. Its receipt
// is written once the last old Pod has no traffic any more, which, if wait, is
// waited for. Where nobody writes receipts, as in a cluster, there is none.
func (p *program) printReceipt(ctx context.Context, r *request, info *resource.Info, wait bool) error {
	if !isDeployment(info) {
		return nil
	}
	client, err := r.clientset()
	if err != nil {
		return err
	}
	for {
		set, version, err := newestSet(ctx, client, info)
		if err != nil || set == nil {
			return err
		}
		written, ok := receiptOf(set)
		switch {
		case !ok || !wait && written.Ended == nil:
			return nil
		case written.Ended != nil:
			printf(p.Out, "%s\n", written.Text)
			return nil
		}
		if err := nextChange(ctx, client, info.Namespace, version); err != nil {
			return canceled(ctx, err)
		}
	}
}

// newestReceipt is the one that printReceipt would begin with; it is empty where
// there is none.
func newestReceipt(ctx context.Context, r *request, info *resource.Info) (written rolloutReceipt, err error) {
	if !isDeployment(info) {
		return written, nil
	}
	client, err := r.clientset()
	if err != nil {
		return written, err
	}
	set, _, err := newestSet(ctx, client, info)
	if err != nil || set == nil {
		return written, err
	}
	if newest, ok := receiptOf(set); ok {
		written = newest
	}
	return written, nil
}

func isDeployment(info *resource.Info) bool {
	return info.Mapping.GroupVersionKind.GroupKind() == appsv1.SchemeGroupVersion.WithKind("Deployment").GroupKind()
}

// newestSet is the ReplicaSet of a Deployment's newest revision, nil where there
// is none yet, and the version of the list that says so.
func newestSet(ctx context.Context, client kubernetes.Interface, info *resource.Info) (newest *appsv1.ReplicaSet, version string, err error) {
	sets, version, err := setsOf(ctx, client, info)
	for i := range sets {
		if newest == nil || revisionOf(sets[i]) > revisionOf(newest) {
			newest = sets[i]
		}
	}
	return newest, version, err
}

func setsOf(ctx context.Context, client kubernetes.Interface, info *resource.Info) (sets []*appsv1.ReplicaSet, version string, err error) {
	d, err := client.AppsV1().Deployments(info.Namespace).Get(ctx, info.Name, metav1.GetOptions{})
	if err != nil {
		return nil, "", err
	}
	list, err := client.AppsV1().ReplicaSets(info.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, "", err
	}
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], d) {
			sets = append(sets, &list.Items[i])
		}
	}
	return sets, list.ResourceVersion, nil
}

// nextChange returns when a ReplicaSet has changed since a version.
func nextChange(ctx context.Context, client kubernetes.Interface, namespace, version string) error {
	events, err := client.AppsV1().ReplicaSets(namespace).Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return err
	}
	defer events.Stop()
	for {
		select {
		case event, open := <-events.ResultChan():
			if !open || event.Type != watch.Bookmark {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// printReceipts prints those of all revisions that there are of a Deployment.
func (p *program) printReceipts(ctx context.Context, r *request, info *resource.Info) error {
	if !isDeployment(info) {
		return nil
	}
	client, err := r.clientset()
	if err != nil {
		return err
	}
	sets, _, err := setsOf(ctx, client, info)
	if err != nil {
		return fmt.Errorf("read receipts: %w", err)
	}
	slices.SortFunc(sets, func(a, b *appsv1.ReplicaSet) int { return int(revisionOf(a) - revisionOf(b)) })
	for _, set := range sets {
		if written, ok := receiptOf(set); ok && written.Ended != nil {
			printf(p.Out, "%s\n", written.Text)
		}
	}
	return nil
}
