package resource

// NodeName is the name of the one node of an instance.
const NodeName = "skiff"

// Options are what the definitions need to know of the instance they serve.
type Options struct{}

// All lists every kind that the API serves, in the order of discovery.
func All(Options) []*Definition {
	return []*Definition{
		pod(),
		deployment(),
		replicaSet(),
	}
}
