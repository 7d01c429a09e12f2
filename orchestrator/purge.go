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
	lock, err := paths.acquire(ctx)
	if err != nil {
		return err
	}
	if err := paths.CheckOwner(o.Name); err != nil {
		return errors.Join(err, lock.release())
	}
	uid := storedUID(paths.State)
	engine, err := docker.New(docker.Options{Instance: o.Name, UID: uid, Log: o.Log})
	if err != nil {
		return errors.Join(err, lock.release())
	}
	// While something is left on the engine, the directory says whose it is.
	err = errors.Join(engine.Purge(ctx), engine.Close(), lock.release())
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
func storedUID(path string) string {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	st, err := store.Open(path)
	if err != nil {
		return ""
	}
	uid, err := st.Meta(metaUID)
	if errors.Join(err, st.Close()) != nil {
		return ""
	}
	return string(uid)
}
