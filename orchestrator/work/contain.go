package work

import (
	"context"
	"errors"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// errCrashed: what was to be done panicked. The log of Kubernetes' packages has
// the stack.
var errCrashed = errors.New("this is a fault of skiff's: the work on it crashed")

// Contain keeps the crash of what is done for one object from ending what is done
// for all others, and the traffic with it. As with client-go's informers, that is
// so only in a program that sets ReallyCrash to false; a test is to crash.
func Contain(ctx context.Context, do func(context.Context) error) (err error) {
	err = errCrashed
	defer utilruntime.HandleCrashWithContext(ctx)
	return do(ctx)
}
