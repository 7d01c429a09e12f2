package proxy

import (
	"context"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
)

// reactors share what a proxy's TCP connections have to say. There is one less of
// them than the scheduler has processors: from a goroutine that waits in the
// kernel it takes the processor at once where all are in use, even by others that
// wait, and each time that costs several system calls.
type reactors struct {
	all  []*reactor
	next atomic.Uint32
}

func (r *reactors) open() error {
	for range max(1, runtime.GOMAXPROCS(0)-1) {
		one, err := newReactor()
		if err != nil {
			for _, other := range r.all {
				other.close()
			}
			r.all = nil
			return err
		}
		r.all = append(r.all, one)
	}
	return nil
}

// run serves until ctx ends.
func (r *reactors) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, one := range r.all {
		wg.Go(func() { one.run(ctx) })
	}
	wg.Wait()
}

// join is nil where the connections are no sockets of this system's, or there
// are no descriptors.
func (r *reactors) join(client, server net.Conn) joint {
	if len(r.all) == 0 {
		return nil
	}
	p, err := newPair(r.all[r.next.Add(1)%uint32(len(r.all))], client, server)
	if err != nil {
		return nil
	}
	return p
}
