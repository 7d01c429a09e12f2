package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"skiff/orchestrator/keypair"
)

var (
	// ErrRunning: another skiff holds the instance's data directory.
	ErrRunning = errors.New("already running")
	// ErrOtherInstance: the data directory is that of an instance of another name.
	ErrOtherInstance = errors.New("belongs to another instance")
)

// Paths are the files of an instance, all below its data directory.
type Paths struct {
	Dir        string
	State      string // the store
	Kubeconfig string // mode 0600: who can read it can command the instance
	PKI        string // a directory: the instance's own authority and its certificates
	Pods       string // a directory: the files that Pods are given, of ConfigMaps for one
	Log        string // of a daemon in the background
	PID        string
	control    string // a socket, at which the next process asks this one to hand over
	lock       string
	owner      string // holds the instance's name
}

// PathsIn names the files of the instance whose data directory is dir.
func PathsIn(dir string) Paths {
	in := func(name string) string { return filepath.Join(dir, name) }
	return Paths{
		Dir:        dir,
		State:      in("state.db"),
		Kubeconfig: in("kubeconfig"),
		PKI:        in("pki"),
		Pods:       in("pods"),
		Log:        in("skiff.log"),
		PID:        in("skiff.pid"),
		control:    in("handover"),
		lock:       in("lock"),
		owner:      in("instance"),
	}
}

// CheckOwner refuses a data directory that is another instance's, whose
// containers nobody would know of any more.
func (p Paths) CheckOwner(name string) error {
	text, err := os.ReadFile(p.owner)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read whose data directory it is: %w", err)
	}
	if owner := strings.TrimSpace(string(text)); owner != "" && owner != name {
		return fmt.Errorf("data directory %s: %w: it is %q (--name %[3]s)", p.Dir, ErrOtherInstance, owner)
	}
	return nil
}

// claim makes the data directory that of the instance called name, or refuses
// another's.
func (p Paths) claim(name string) error {
	if err := p.CheckOwner(name); err != nil {
		return err
	}
	file, err := os.OpenFile(p.owner, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep instance name: %w", err)
	}
	_, err = file.WriteString(name + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("keep instance name: %w", err)
	}
	return nil
}

// used says whether an instance has ever kept anything here.
func (p Paths) used() bool {
	for _, path := range []string{p.owner, p.State} {
		if _, err := os.Lstat(path); err == nil {
			return true
		}
	}
	return false
}

// remove removes what an instance keeps here. The state goes last: it alone says
// what of the engine's is this instance's and not another's of the same name.
func (p Paths) remove() error {
	entries, err := os.ReadDir(p.Dir)
	if err != nil {
		return fmt.Errorf("look into data directory: %w", err)
	}
	own := []string{p.Kubeconfig, p.PKI, p.Pods, p.Log, p.PID, p.PID + nextSuffix, p.control, p.owner}
	for _, e := range entries { // of a write that was cut short
		if keypair.Unfinished(e.Name(), p.Kubeconfig) {
			own = append(own, filepath.Join(p.Dir, e.Name()))
		}
	}
	for _, path := range append(own, p.State) {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove what is in the data directory: %w", err)
		}
	}
	return nil
}

// removeLock removes the lock, which must not be held, and the directory where
// that was all in it.
func (p Paths) removeLock() error {
	err := os.Remove(p.lock)
	if err == nil {
		if err = os.Remove(p.Dir); errors.Is(err, fs.ErrExist) { // something is in it
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("remove data directory: %w", err)
	}
	return nil
}

var errHeld = errors.New("held by another process")

// acquire takes the instance for this process until the lock is released. It
// writes nothing: a full disk must not keep an instance from being purged.
func (p Paths) acquire(ctx context.Context) (*lock, error) {
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	tick := time.NewTicker(stopPoll)
	defer tick.Stop()
	// Someone who looks whether the instance runs holds the lock for a moment.
	for try := 1; ; try++ {
		lock, err := tryLock(p.lock)
		if !errors.Is(err, errHeld) {
			return lock, err
		}
		if try == 10 {
			return nil, fmt.Errorf("data directory %s: %w", p.Dir, ErrRunning)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// nextSuffix ends the name of a file that is about to take another one's place.
const nextSuffix = ".next"

// announce notes the number of this process, which has acquired the instance.
// Whoever reads meanwhile finds the whole of one number.
func (p Paths) announce() error {
	next := p.PID + nextSuffix
	err := os.WriteFile(next, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	if err == nil {
		err = os.Rename(next, p.PID)
	}
	if err != nil {
		return fmt.Errorf("keep process number: %w", err)
	}
	return nil
}

// Running gives the process that runs the instance, or 0 where none does. The
// number is only believed while the instance's lock is held, so it cannot be
// that of a stranger.
func (p Paths) Running() (pid int, err error) {
	if _, err := os.Stat(p.lock); errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	lock := flock.New(p.lock)
	held, err := lock.TryRLock()
	if err != nil {
		return 0, fmt.Errorf("look at lock %s: %w", p.lock, err)
	}
	if held {
		return 0, lock.Unlock()
	}
	text, err := os.ReadFile(p.PID)
	if err != nil {
		return 0, fmt.Errorf("read the daemon's process number: %w", err)
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil || pid <= 0 {
		return 0, fmt.Errorf("read the daemon's process number from %s: %q is none", p.PID, text)
	}
	return pid, nil
}

// stopPoll is how often a lock that is held is looked at again: a file lock
// gives no event.
const stopPoll = 20 * time.Millisecond

// WaitStopped returns once no process runs the instance. ErrRunning: another
// one than pid does.
func (p Paths) WaitStopped(ctx context.Context, pid int) error {
	tick := time.NewTicker(stopPoll)
	defer tick.Stop()
	for {
		now, err := p.Running()
		switch {
		case errors.Is(err, os.ErrNotExist): // it is about to end
		case err != nil:
			return err
		case now == 0:
			return nil
		case now != pid:
			return fmt.Errorf("process %d: %w", now, ErrRunning)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the daemon to stop: %w", ctx.Err())
		}
	}
}
