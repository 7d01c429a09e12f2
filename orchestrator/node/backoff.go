package node

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// As in the kubelet: 10 s, doubled up to 5 min, forgotten after twice that.
const (
	backoffFirst  = 10 * time.Second
	backoffLimit  = 5 * time.Minute
	backoffForget = 2 * backoffLimit
)

// backoff is how long to wait between attempts that fail.
type backoff struct {
	delay time.Duration
	since time.Time // when the attempt was made that delay was chosen for
}

// until says when an attempt may follow one that failed at a time. The first
// failure is followed at once.
func (b backoff) until(failed time.Time) time.Time {
	if b.delay == 0 || failed.Sub(b.since) > backoffForget {
		return failed
	}
	return failed.Add(b.delay)
}

// next is the back-off after an attempt made now, when the one before failed
// at a time.
func (b backoff) next(failed, now time.Time) backoff {
	if b.delay == 0 || failed.Sub(b.since) > backoffForget {
		return backoff{delay: backoffFirst, since: now}
	}
	return backoff{delay: min(2*b.delay, backoffLimit), since: now}
}

// retryDelay is for calls that failed for reasons outside the Pod: an engine
// that does not answer, an API that refuses.
func retryDelay(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures-1, 10), 10*time.Second)
}

// insist tries until it works, or ctx ends with its error. The log is told what
// does not work, about the thing that attrs name.
func (w *Worker) insist(ctx context.Context, failure string, try func() error, attrs ...any) error {
	log := w.Log.With(attrs...)
	for failures := 1; ; failures++ {
		err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		log.Warn(failure+"; trying again", "error", err)
		if !pause(ctx, retryDelay(failures)) {
			return ctx.Err()
		}
	}
}

// pause says false where ctx ended it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// unlessChanged is no error where the object is not any more what was written to.
func unlessChanged(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
