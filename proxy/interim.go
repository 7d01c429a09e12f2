package proxy

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
)

// interim passes 1xx answers on as they arrive. They come on a goroutine of
// the transport's, which may outlive the round trip, while the headers of the
// ResponseWriter belong to the handler again after it.
type interim struct {
	x    *exchange
	mu   sync.Mutex
	over bool
}

func newInterim(x *exchange) *interim { return &interim{x: x} }

func (i *interim) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: i.got})
}

func (i *interim) got(code int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	// The server says 100 itself once the transport reads the body, which it does
	// because of this one: two of them would be a matter of who is first.
	if i.over || code == http.StatusContinue {
		return nil
	}
	i.x.begun.Store(true)
	h := i.x.w.Header()
	removeHopByHop(http.Header(header))
	maps.Copy(h, http.Header(header))
	i.x.w.WriteHeader(code)
	clear(h) // WriteHeader of a 1xx keeps them for the final answer
	return nil
}

func (i *interim) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
}
