package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

func (p *Prober) tryExec(ctx context.Context, id string, cmd []string, timeout time.Duration) (Result, string, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	output, code, err := p.exec(limited, id, cmd)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return Failure, fmt.Sprintf("command %q timed out after %s", strings.Join(cmd, " "), timeout), nil
	case err != nil:
		return Unknown, "", err
	case code != 0:
		return Failure, string(output), nil
	}
	return Success, string(output), nil
}
