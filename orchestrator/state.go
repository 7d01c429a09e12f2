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

// ErrOtherInstance: the data directory is that of an instance of another name.
var ErrOtherInstance = errors.New("belongs to another instance")

// What the instance remembers besides its objects.
const (
	metaName   = "instance-name"
	metaUID    = "instance-uid"
	metaSubnet = "subnet"
)

// claim makes the data directory this instance's, or refuses another's.
func (o Options) claim(ctx context.Context, st *store.Store) error {
	owned, err := o.checkOwner(st)
	if err != nil || owned {
		return err
	}
	if err := st.SetMeta(ctx, metaName, []byte(o.Name)); err != nil {
		return fmt.Errorf("keep instance name: %w", err)
	}
	return nil
}

// checkOwner refuses a data directory that is another instance's, whose
// containers nobody would know of any more. owned: it is this one's already.
func (o Options) checkOwner(st *store.Store) (owned bool, err error) {
	name, err := st.Meta(metaName)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read instance name: %w", err)
	case string(name) != o.Name:
		return false, fmt.Errorf("data directory %s: %w: it is %q", o.DataDir, ErrOtherInstance, name)
	}
	return true, nil
}

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
