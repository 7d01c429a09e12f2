package fake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"skiff/runtime/container"
)

// Exec asks the container's behaviour.
func (e *Engine) Exec(ctx context.Context, id string, cmd []string) ([]byte, int, error) {
	if err := e.begin(ctx, "Exec"); err != nil {
		return nil, 0, err
	}
	e.mu.Lock()
	r, err := e.find(id)
	if err == nil && r.State != container.Running {
		err = fmt.Errorf("exec in container: it does not run: %w", container.ErrConflict)
	}
	e.mu.Unlock()
	if err != nil || r.behaviour.Exec == nil {
		return nil, 0, err
	}
	output, code, err := r.behaviour.Exec(ctx, cmd)
	if ctx.Err() != nil {
		return output, 0, fmt.Errorf("exec in container: %w", ctx.Err())
	}
	return output, code, err
}

// ExecSession says what Exec says, to whoever listens.
func (e *Engine) ExecSession(ctx context.Context, id string, cmd []string, s container.Session) (int, error) {
	output, code, err := e.Exec(ctx, id, cmd)
	if err == nil && s.Out != nil {
		_, err = s.Out.Write(output)
	}
	return code, err
}

// AttachSession waits until the container exits.
func (e *Engine) AttachSession(ctx context.Context, id string, _ container.Session) error {
	if err := e.begin(ctx, "AttachSession"); err != nil {
		return err
	}
	e.mu.Lock()
	r, err := e.find(id)
	e.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-r.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("attach to container: %w", ctx.Err())
	}
}

// DialContext connects to whatever runs at a Pod's address.
func (e *Engine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := e.begin(ctx, "DialContext"); err != nil {
		return nil, err
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	refused := refusal(network, host, port)
	for _, dial := range e.listening(host) {
		conn, err := dial(ctx, port)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return conn, err
		}
	}
	return nil, refused
}

// DialLoopback is refused: what there is listens everywhere.
func (e *Engine) DialLoopback(ctx context.Context, _ container.Pod, _ string, port int) (net.Conn, error) {
	if err := e.begin(ctx, "DialLoopback"); err != nil {
		return nil, err
	}
	return nil, refusal("tcp", "127.0.0.1", port)
}

// listening are the running containers at an address: the one that owns it and
// those which joined that one.
func (e *Engine) listening(host string) []func(context.Context, int) (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []func(context.Context, int) (net.Conn, error)
	for _, r := range e.containers {
		owner := r
		if s := r.spec.Network.Sandbox; s != "" {
			owner = e.containers[s]
		}
		if owner != nil && owner.Address.String() == host && r.State == container.Running && r.behaviour.Dial != nil {
			out = append(out, r.behaviour.Dial)
		}
	}
	return out
}

// refusal is the error that a real dialer gives where nobody listens.
func refusal(network, host string, port int) error {
	ip, _ := netip.ParseAddr(host)
	return &net.OpError{
		Op: "dial", Net: network,
		Addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))),
		Err:  os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}
}
