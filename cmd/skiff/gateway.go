package main

import (
	"context"
	"io"
	"os"

	"skiff/orchestrator"
)

// isGateway says whether this process is a gateway. No person starts one, so it
// is no command; nor is anything made that commands need, for one runs next to
// every instance all the time.
func isGateway(argv []string) bool {
	return len(argv) == 2 && argv[1] == orchestrator.GatewayCommand && os.Getpid() == 1
}

func runGateway(ctx context.Context, log io.Writer) int {
	return report(log, orchestrator.RunGateway(ctx, log))
}
