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

// ErrNoInstance: the data directory is that of no instance.
var ErrNoInstance = errors.New("there is no instance")

// Purge removes everything of an instance that does not run: its containers,
// networks and volumes, and what it has in its data directory, which goes with
// it unless there is something else in it. ErrRunning: it does run.
// ErrNoInstance: nothing was ever kept there, so that what the engine has by this
// name is somebody else's.
func Purge(ctx context.Context, o Options) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	paths := PathsIn(o.DataDir)
	lock, err := paths.acquire(ctx)
	if err != nil {
		return err
	}
	if err = paths.CheckOwner(o.Name); err == nil {
		err = paths.purge(ctx, o)
	}
	if err = errors.Join(err, lock.release()); err != nil && !errors.Is(err, ErrNoInstance) {
		return err
	}
	return errors.Join(err, paths.removeLock())
}

// purge leaves nothing but the lock. While something is left on the engine, the
// directory says whose it is.
func (p Paths) purge(ctx context.Context, o Options) error {
	if !p.used() {
		return fmt.Errorf("data directory %s: %w", p.Dir, ErrNoInstance)
	}
	engine, err := docker.New(docker.Options{Instance: o.Name, UID: storedUID(p.State), Log: o.Log})
	if err != nil {
		return err
	}
	if err := errors.Join(engine.Purge(ctx), engine.Close()); err != nil {
		return err
	}
	return p.remove()
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
