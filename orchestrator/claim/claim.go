// Package claim gives each PersistentVolumeClaim a PersistentVolume, which
// stands for a volume of the engine, keeps both for as long as a Pod uses them,
// and removes the engine's volume with the claim.
package claim

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"skiff/orchestrator/informer"
	"skiff/orchestrator/resource"
	"skiff/orchestrator/work"
)

// Volumes is what the controller needs of the engine. None of that name is
// fine; an error while a container has it.
type Volumes interface {
	RemoveVolume(ctx context.Context, name string) error
}

// Controller binds claims and removes what they leave.
type Controller struct {
	client  kubernetes.Interface
	engine  Volumes
	log     *slog.Logger
	claims  coreinformers.PersistentVolumeClaimInformer
	volumes coreinformers.PersistentVolumeInformer
	pods    coreinformers.PodInformer
}

// New makes a controller that reads through factory, which the caller starts
// afterwards, and writes through client.
func New(client kubernetes.Interface, factory *informer.Factory, engine Volumes, log *slog.Logger) *Controller {
	return &Controller{
		client: client, engine: engine, log: log.With("controller", "claim"),
		claims: factory.PersistentVolumeClaims(), volumes: factory.PersistentVolumes(), pods: factory.Pods(),
	}
}

// key is a claim, or a volume where there is no namespace.
type key = cache.ObjectName

// run is what a Controller has while it runs.
type run struct {
	*Controller
	queue  *work.Queue[key]
	events record.EventRecorder
}

// Run works until ctx ends, and returns once nothing is under way any more.
func (c *Controller) Run(ctx context.Context) error {
	events := work.NewEvents(ctx, c.client)
	defer events.Close()
	r := &run{
		Controller: c,
		queue:      work.NewQueue[key](c.log, nil),
		events:     events.By("persistentvolume-controller"),
	}
	r.queue.Follow(r.claims.Informer(), work.OnAny(r.claimChanged))
	r.queue.Follow(r.volumes.Informer(), work.OnAny(r.volumeChanged))
	r.queue.Follow(r.pods.Informer(), work.OnAny(r.podChanged))
	return r.queue.Run(ctx, 1, r.sync)
}

func (r *run) claimChanged(c *corev1.PersistentVolumeClaim) {
	r.queue.Add(cache.MetaObjectToName(c))
	r.queue.Add(key{Name: resource.VolumeName(c)})
}

func (r *run) volumeChanged(v *corev1.PersistentVolume) {
	r.queue.Add(cache.MetaObjectToName(v))
	if ref := v.Spec.ClaimRef; ref != nil {
		r.queue.Add(key{Namespace: ref.Namespace, Name: ref.Name})
	}
}

// podChanged wakes the claims that the Pod may have let go, or is yet to get.
func (r *run) podChanged(pod *corev1.Pod) {
	for i := range pod.Spec.Volumes {
		if c := resource.ClaimOf(pod, &pod.Spec.Volumes[i]); c != nil {
			r.queue.Add(key{Namespace: pod.Namespace, Name: c.ClaimName})
		}
	}
}

func (r *run) sync(ctx context.Context, k key) error {
	if k.Namespace == "" {
		return r.syncVolume(ctx, k)
	}
	return r.syncClaim(ctx, k)
}

// isOurs says whether a volume is one that skiff has made.
func isOurs(v *corev1.PersistentVolume) bool {
	return v.Spec.CSI != nil && v.Spec.CSI.Driver == resource.VolumeDriver
}
