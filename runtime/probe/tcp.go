package probe

import (
	"context"
	"time"
)

func (p *Prober) tryTCP(ctx context.Context, address string, timeout time.Duration) (Result, string) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := p.dial(ctx, "tcp", address)
	if err != nil {
		return Failure, err.Error()
	}
	conn.Close()
	return Success, ""
}
