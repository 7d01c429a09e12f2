package resource

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"

	"skiff/orchestrator/service/allocation"
)

// NodeName is the name of the one node of an instance.
const NodeName = "skiff"

// Domain is what the names of an instance's Services and Pods end with.
const Domain = "cluster.local"

// Options are what the definitions need to know of the instance they serve.
type Options struct {
	// Services is what Services get their addresses from.
	Services allocation.Ranges
}

// All lists every kind that the API serves, in the order of discovery.
func All(opts Options) []*Definition {
	coreEvents := event()
	return []*Definition{
		namespace(),
		node(),
		pod(),
		service(opts.Services),
		endpoints(),
		endpointSlice(),
		coreEvents,
		eventV1(coreEvents),
		configMap(),
		secret(),
		serviceAccount(),
		persistentVolumeClaim(),
		persistentVolume(),
		deployment(),
		replicaSet(),
		podDisruptionBudget(),
		ingress(),
		ingressClass(),
		review(authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview")),
		review(authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectRulesReview")),
		review(authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview")),
	}
}
