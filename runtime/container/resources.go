package container

// Resources bound what a container may take of its machine. Zero values set no
// bound.
type Resources struct {
	CPUShares int64 // weight against other containers where processors are short
	CPUQuota  int64 // microseconds of processor time in each CPUPeriod
	CPUPeriod int64 // microseconds
	Memory    int64 // bytes, swap included: who takes more is killed

	// OOMScoreAdj says who is killed first where the machine itself is short of
	// memory: 1000 first, -1000 never.
	OOMScoreAdj int
}
