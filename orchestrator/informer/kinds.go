package informer

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	appsinformers "k8s.io/client-go/informers/apps/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	networkinginformers "k8s.io/client-go/informers/networking/v1"
	policyinformers "k8s.io/client-go/informers/policy/v1"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	policylisters "k8s.io/client-go/listers/policy/v1"
	"k8s.io/client-go/tools/cache"
)

// Each of these gives the one informer of a kind. Asking for it is what makes it
// exist.

func (f *Factory) Namespaces() coreinformers.NamespaceInformer {
	return of(f, &corev1.Namespace{}, f.client.CoreV1().Namespaces(), corelisters.NewNamespaceLister)
}

func (f *Factory) Pods() coreinformers.PodInformer {
	return of(f, &corev1.Pod{}, f.client.CoreV1().Pods(metav1.NamespaceAll), corelisters.NewPodLister)
}

func (f *Factory) Nodes() coreinformers.NodeInformer {
	return of(f, &corev1.Node{}, f.client.CoreV1().Nodes(), corelisters.NewNodeLister)
}

func (f *Factory) ConfigMaps() coreinformers.ConfigMapInformer {
	return of(f, &corev1.ConfigMap{}, f.client.CoreV1().ConfigMaps(metav1.NamespaceAll), corelisters.NewConfigMapLister)
}

func (f *Factory) Secrets() coreinformers.SecretInformer {
	return of(f, &corev1.Secret{}, f.client.CoreV1().Secrets(metav1.NamespaceAll), corelisters.NewSecretLister)
}

func (f *Factory) PersistentVolumeClaims() coreinformers.PersistentVolumeClaimInformer {
	return of(f, &corev1.PersistentVolumeClaim{}, f.client.CoreV1().PersistentVolumeClaims(metav1.NamespaceAll), corelisters.NewPersistentVolumeClaimLister)
}

func (f *Factory) PersistentVolumes() coreinformers.PersistentVolumeInformer {
	return of(f, &corev1.PersistentVolume{}, f.client.CoreV1().PersistentVolumes(), corelisters.NewPersistentVolumeLister)
}

func (f *Factory) Services() coreinformers.ServiceInformer {
	return of(f, &corev1.Service{}, f.client.CoreV1().Services(metav1.NamespaceAll), corelisters.NewServiceLister)
}

func (f *Factory) Endpoints() coreinformers.EndpointsInformer {
	//lint:ignore SA1019 what is served must be kept up to date
	return of(f, &corev1.Endpoints{}, f.client.CoreV1().Endpoints(metav1.NamespaceAll), corelisters.NewEndpointsLister)
}

func (f *Factory) EndpointSlices() discoveryinformers.EndpointSliceInformer {
	return of(f, &discoveryv1.EndpointSlice{}, f.client.DiscoveryV1().EndpointSlices(metav1.NamespaceAll), discoverylisters.NewEndpointSliceLister)
}

func (f *Factory) Ingresses() networkinginformers.IngressInformer {
	return of(f, &networkingv1.Ingress{}, f.client.NetworkingV1().Ingresses(metav1.NamespaceAll), networkinglisters.NewIngressLister)
}

func (f *Factory) IngressClasses() networkinginformers.IngressClassInformer {
	return of(f, &networkingv1.IngressClass{}, f.client.NetworkingV1().IngressClasses(), networkinglisters.NewIngressClassLister)
}

func (f *Factory) Deployments() appsinformers.DeploymentInformer {
	return of(f, &appsv1.Deployment{}, f.client.AppsV1().Deployments(metav1.NamespaceAll), appslisters.NewDeploymentLister)
}

func (f *Factory) ReplicaSets() appsinformers.ReplicaSetInformer {
	return of(f, &appsv1.ReplicaSet{}, f.client.AppsV1().ReplicaSets(metav1.NamespaceAll), appslisters.NewReplicaSetLister)
}

func (f *Factory) PodDisruptionBudgets() policyinformers.PodDisruptionBudgetInformer {
	return of(f, &policyv1.PodDisruptionBudget{}, f.client.PolicyV1().PodDisruptionBudgets(metav1.NamespaceAll), policylisters.NewPodDisruptionBudgetLister)
}

// informer is a shared informer in the shape that client-go gives its own.
type informer[Lister any] struct {
	shared cache.SharedIndexInformer
	lister func(cache.Indexer) Lister
}

func (i informer[Lister]) Informer() cache.SharedIndexInformer { return i.shared }
func (i informer[Lister]) Lister() Lister                      { return i.lister(i.shared.GetIndexer()) }

func of[List runtime.Object, Lister any](f *Factory, obj runtime.Object, source Source[List], lister func(cache.Indexer) Lister) informer[Lister] {
	return informer[Lister]{f.shared(obj, func() cache.SharedIndexInformer { return New(f.client, obj, source) }), lister}
}

// Source is what an informer asks of a kind's client.
type Source[List runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (List, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// New makes an informer that nobody shares. The source is one of the client's.
func New[List runtime.Object](client kubernetes.Interface, obj runtime.Object, source Source[List]) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(
		cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
				return source.List(ctx, opts)
			},
			WatchFuncWithContext: source.Watch,
		}, client),
		obj,
		0, // no resync: the watch loses nothing
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc},
	)
}
