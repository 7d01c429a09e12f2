package switchboard

import (
	"context"

	"skiff/proxy"
)

// Here is what serves the doors that many Services share needs of a Board.

// Follow has changed called after each change of a Service. It must not call
// the Board.
func (b *Board) Follow(changed func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed = changed
}

// Port is what is forwarded at a port of a Service, where that is something.
func (b *Board) Port(service, port string) (to proxy.Destination, mode proxy.Mode, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.services[service]; s != nil && s.ports[port] != nil {
		p := s.ports[port]
		return proxy.Destination{Pool: p.pool, H2C: p.H2C}, p.Mode, true
	}
	return to, mode, false
}

// Share listens at an address for many Services, until one wants it for itself.
func (b *Board) Share(ctx context.Context, l proxy.Listener) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if holder := b.holders[l.Address]; holder != "" {
		return &HeldError{By: holder}
	}
	if err := b.proxy.Listen(ctx, l); err != nil {
		return err
	}
	b.shared[l.Address] = true
	return nil
}

// Unshare stops to listen at an address, where it is still shared.
func (b *Board) Unshare(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unshare(address)
}

// unshare needs mu.
func (b *Board) unshare(address string) {
	if b.shared[address] {
		b.proxy.Close(address)
		delete(b.shared, address)
	}
}

// Shares says whether an address is still shared.
func (b *Board) Shares(address string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shared[address]
}
