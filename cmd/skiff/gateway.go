package main

import (
	"context"
	"io"
	"os"

	"skiff/orchestrator"
)

// runInside does what this process is for as the first one in a container of
// skiff's own. No person starts one, so that is no command; nor is anything made
// that commands need, for a gateway runs next to every instance all the time.
func runInside(ctx context.Context, argv []string, log io.Writer) (inside bool, code int) {
	if os.Getpid() != 1 {
		return false, 0
	}
	inside, err := orchestrator.RunInside(ctx, argv[1:], log)
	return inside, report(log, err)
}
