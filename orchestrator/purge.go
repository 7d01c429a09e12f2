package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"skiff/orchestrator/store"
	"skiff/runtime/docker"
)

// Purge removes everything of an instance that does not run: its containers,
// networks and volumes, and its data directory. ErrRunning: it does run.
func Purge(ctx context.Context, o Options) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	paths := PathsIn(o.DataDir)
	release, err := paths.acquire(ctx)
	if err != nil {
		return err
	}
	uid, err := o.storedUID(paths.State)
	if err != nil {
		return errors.Join(err, release())
	}
	engine, err := docker.New(docker.Options{Instance: o.Name, UID: uid, Log: o.Log})
	if err != nil {
		return errors.Join(err, release())
	}
	// While something is left on the engine, the directory says whose it is.
	err = errors.Join(engine.Purge(ctx), engine.Close(), release())
	if err != nil {
		return err
	}
	if err := os.RemoveAll(paths.Dir); err != nil {
		return fmt.Errorf("remove data directory: %w", err)
	}
	return nil
}

// storedUID reads the instance's UID. Where there is none to be read, also
// because the file is damaged, the instance's name must do.
func (o Options) storedUID(path string) (uid string, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	st, err := store.Open(path)
	if err != nil {
		return "", nil
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if _, err := o.checkOwner(st); errors.Is(err, ErrOtherInstance) {
		return "", err
	}
	known, err := st.Meta(metaUID)
	if err != nil {
		return "", nil
	}
	return string(known), nil
}
