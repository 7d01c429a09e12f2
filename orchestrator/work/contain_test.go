package work

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
)

// A key whose look panics comes again like others that fail, and the others go on.
func TestCrashIsContained(t *testing.T) {
	var stack strings.Builder
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(&stack, nil)))
	utilruntime.ReallyCrash = false
	defer func() {
		klog.ClearLogger()
		utilruntime.ReallyCrash = true
	}()
	var log strings.Builder
	ctx, stop := context.WithCancel(t.Context())
	q := NewQueue[string](slog.New(slog.NewTextHandler(&log, nil)), nil)
	q.Add("bad")
	q.Add("good")
	looks := map[string]int{}
	err := q.Run(ctx, 1, func(_ context.Context, key string) error {
		if looks[key]++; key == "bad" && looks[key] == 1 {
			var none *struct{ replicas int }
			none.replicas++
		}
		if looks["bad"] == 2 && looks["good"] == 1 {
			stop()
		}
		return nil
	})
	if err != nil || looks["bad"] != 2 || looks["good"] != 1 {
		t.Errorf("looks %v: %v", looks, err)
	}
	if !strings.Contains(log.String(), "key=bad") || !strings.Contains(log.String(), errCrashed.Error()) {
		t.Errorf("the log: %s", log.String())
	}
	if !strings.Contains(stack.String(), "contain_test.go") {
		t.Errorf("the stack: %s", stack.String())
	}

	utilruntime.ReallyCrash = true
	defer func() {
		if recover() == nil {
			t.Error("a program that is to crash did not")
		}
	}()
	t.Error(Contain(t.Context(), func(context.Context) error { panic(errors.New("told")) }))
}
