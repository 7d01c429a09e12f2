package resource

import "skiff/orchestrator/service/allocation"

// NodeName is the name of the one node of an instance.
const NodeName = "skiff"

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
	}
}
