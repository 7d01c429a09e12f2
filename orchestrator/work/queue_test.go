package work

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// TestFailedKeyComesAgain: later each time, and with a warning only if what
// stood in the way does not go by itself.
func TestFailedKeyComesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		ctx, stop := context.WithCancel(t.Context())
		q := NewQueue[string](slog.New(slog.NewTextHandler(&log, nil)), nil)
		failures := []error{
			apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "web", nil),
			ErrSoon,
			errors.New("disk full"),
		}
		var at []time.Duration
		begin := time.Now()
		q.Add("web")
		err := q.Run(ctx, 2, func(context.Context, string) error {
			at = append(at, time.Since(begin))
			if n := len(at); n <= len(failures) {
				return failures[n-1]
			}
			stop()
			return nil
		})
		if err != nil || len(at) != 4 || at[0] != 0 || at[1] != 5*time.Millisecond || at[3] != 35*time.Millisecond {
			t.Errorf("the key was taken at %v: %v", at, err)
		}
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `level=WARN msg="try again later" key=web error="disk full"`) {
			t.Errorf("the log: %s", text)
		}
	})
}

// TestRunEndsWithItsWork: it returns when what was under way has ended.
func TestRunEndsWithItsWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		q := NewQueue[int](slog.New(slog.DiscardHandler), nil)
		q.Add(1)
		ended := false
		err := q.Run(ctx, 1, func(ctx context.Context, _ int) error {
			stop()
			<-time.After(time.Minute)
			ended = true
			return ctx.Err()
		})
		if err != nil || !ended {
			t.Errorf("Run returned %v, its work having ended: %t", err, ended)
		}
	})
}

func TestOnAny(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	var seen []string
	handler := OnAny(func(m metav1.Object) { seen = append(seen, m.GetName()) })
	handler.OnAdd(pod, false)
	handler.OnUpdate(nil, pod)
	handler.OnDelete(cache.DeletedFinalStateUnknown{Key: "default/web", Obj: pod})
	handler.OnDelete(cache.DeletedFinalStateUnknown{Key: "default/gone"})
	if strings.Join(seen, " ") != "web web web" {
		t.Errorf("seen: %q", seen)
	}
}
