package proxy

import (
	"context"
	"net"
)

func (p *Proxy) serveTCP(ctx context.Context, client net.Conn, what *Listener) { client.Close() }
