package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/util/uuid"

	"skiff/orchestrator/store"
	"skiff/runtime/docker"
)

// What the instance remembers besides its objects.
const (
	metaUID    = "instance-uid"
	metaSubnet = "subnet"
)

// instanceUID tells this instance from another of the same name on the same
// engine, say one with its data directory elsewhere.
func instanceUID(ctx context.Context, st *store.Store) (string, error) {
	known, err := st.Meta(metaUID)
	if err == nil {
		return string(known), nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return "", fmt.Errorf("read instance UID: %w", err)
	}
	uid := string(uuid.NewUUID())
	if err := st.SetMeta(ctx, metaUID, []byte(uid)); err != nil {
		return "", fmt.Errorf("keep instance UID: %w", err)
	}
	return uid, nil
}

// network finds or makes the instance's network, with the subnet it had before:
// the addresses of Services and Pods are in it.
func network(ctx context.Context, st *store.Store, engine *docker.Engine) (netip.Prefix, error) {
	known, err := st.Meta(metaSubnet)
	var want netip.Prefix
	switch {
	case err == nil:
		if want, err = netip.ParsePrefix(string(known)); err != nil {
			return want, fmt.Errorf("read the instance's subnet: %w", err)
		}
	case !errors.Is(err, store.ErrNotFound):
		return want, fmt.Errorf("read the instance's subnet: %w", err)
	}
	subnet, err := engine.EnsureNetwork(ctx, want)
	if err != nil {
		return subnet, err
	}
	if want.IsValid() && subnet != want {
		return subnet, fmt.Errorf("the instance's subnet %s is now used by something else on the engine: remove that network, or start afresh after \"skiff down --purge\"", want)
	}
	if err := st.SetMeta(ctx, metaSubnet, []byte(subnet.String())); err != nil {
		return subnet, fmt.Errorf("keep the instance's subnet: %w", err)
	}
	return subnet, nil
}
