package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The layout of a volume whose files change as one, as the kubelet has it: what
// the user sees are links into ..data, which is a link to the directory of the
// newest version. To move that one link is to change all files at once.
const (
	dataLink    = "..data"
	nextLink    = "..data_tmp"
	versionName = "..2006_01_02_15_04_05."
)

// owner is to whom the files of a volume belong.
type owner struct {
	group *int64 // the Pod's fsGroup
	root  bool   // skiff may give files away
}

func ownerOf(pod *corev1.Pod) owner { return owner{group: fsGroup(pod), root: os.Geteuid() == 0} }

// writeFiles makes the files in dir what they should be.
func writeFiles(dir string, files map[string]file, o owner) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := o.chmod(dir, 0o777|fs.ModeSticky); err != nil {
		return err
	}
	current, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || !o.same(filepath.Join(dir, current), files) {
		if current, err = o.writeVersion(dir, files); err != nil {
			return err
		}
	}
	if err := linkFiles(dir, files); err != nil {
		return err
	}
	return removeOldVersions(dir, current)
}

// writeVersion writes all files anew and then lets the link point there.
func (o owner) writeVersion(dir string, files map[string]file) (name string, err error) {
	version, err := os.MkdirTemp(dir, time.Now().UTC().Format(versionName))
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil { // on a full disk, half a version for each try would keep it full
			err = errors.Join(err, os.RemoveAll(version))
		}
	}()
	if err := o.chmod(version, 0o755); err != nil {
		return "", err
	}
	for name, f := range files {
		if err := o.write(version, name, f); err != nil {
			return "", err
		}
	}
	name, next := filepath.Base(version), filepath.Join(dir, nextLink)
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.Symlink(name, next); err != nil {
		return "", err
	}
	return name, os.Rename(next, filepath.Join(dir, dataLink))
}

func (o owner) write(version, name string, f file) error {
	if err := o.makeDirs(version, filepath.Dir(name)); err != nil {
		return err
	}
	path := filepath.Join(version, name)
	if err := os.WriteFile(path, f.data, 0o600); err != nil {
		return err
	}
	if f.user != nil && o.root {
		if err := os.Chown(path, int(*f.user), -1); err != nil {
			return err
		}
	}
	return o.chmod(path, o.mode(f))
}

// makeDirs makes the directories of a path below dir.
func (o owner) makeDirs(dir, below string) error {
	for step := range strings.SplitSeq(below, "/") {
		dir = filepath.Join(dir, step)
		if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return err
		}
		if err := o.chmod(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// mode is a file's mode for its readers in the containers. Where skiff is an
// ordinary user it cannot give files to the root or the group that they are
// meant for: then whoever gets to the file may do with it what its owner may,
// also one whose group happens to be skiff's own. On the machine nobody else
// gets there, below a directory of mode 0700.
func (o owner) mode(f file) fs.FileMode {
	mode := fs.FileMode(f.mode) & 0o777
	if !o.root {
		mode |= mode>>6&0o5 | mode>>3&0o50
	} else if o.group != nil {
		mode |= 0o440
	}
	return mode
}

// chmod sets a mode whatever the umask, and the group.
func (o owner) chmod(path string, mode fs.FileMode) error {
	if o.group != nil && o.root {
		if err := os.Chown(path, -1, int(*o.group)); err != nil {
			return err
		}
		if info, err := os.Stat(path); err != nil {
			return err
		} else if info.IsDir() {
			mode |= fs.ModeSetgid
		}
	}
	return os.Chmod(path, mode)
}

// same says whether a version holds exactly these files.
func (o owner) same(version string, files map[string]file) bool {
	found := 0
	err := filepath.WalkDir(version, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(version, path)
		if err != nil {
			return err
		}
		f, ok := files[name]
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !ok || !bytes.Equal(data, f.data) || info.Mode().Perm() != o.mode(f) {
			return fs.ErrInvalid
		}
		found++
		return nil
	})
	return err == nil && found == len(files)
}

// linkFiles makes the links that users see, one for each first step of a path,
// and removes those that lead nowhere. Directories are where containers mount
// other volumes.
func linkFiles(dir string, files map[string]file) error {
	wanted := map[string]bool{}
	for name := range files {
		first, _, _ := strings.Cut(name, "/")
		wanted[first] = true
	}
	present, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range present {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		if !wanted[e.Name()] && !e.IsDir() {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
		delete(wanted, e.Name())
	}
	for name := range wanted {
		err = errors.Join(err, os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name)))
	}
	return err
}

func removeOldVersions(dir, current string) error {
	present, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	keep := []string{current, dataLink}
	for _, e := range present {
		if strings.HasPrefix(e.Name(), "..") && !slices.Contains(keep, e.Name()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("remove old version: %w", err)
	}
	return nil
}
