package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
)

const resolvPath = "/etc/resolv.conf"

// files makes what a container gets from skiff besides its volumes: the file
// for its last words, and its resolv.conf where the engine's would not do.
func (p *pod) files(pod *corev1.Pod, c *corev1.Container, number, stale int) ([]container.Mount, error) {
	last, err := p.makeMessage(pod, c, number, stale)
	if err != nil {
		return nil, fmt.Errorf("make file for the termination message: %w", err)
	}
	mounts := []container.Mount{{Source: last, Target: c.TerminationMessagePath}}
	if r, ok := resolv(pod, p.DNS); ok && !mountsAt(c, resolvPath) {
		path := filepath.Join(p.podDir(pod.UID), "resolv.conf")
		if err := writeOnce(path, []byte(r.String())); err != nil {
			return nil, fmt.Errorf("make resolv.conf: %w", err)
		}
		mounts = append(mounts, container.Mount{Source: path, Target: resolvPath})
	}
	return mounts, nil
}

// writeOnce leaves a file alone that is right: other containers may be reading it.
func writeOnce(path string, content []byte) error {
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, content) {
		return nil
	}
	return os.WriteFile(path, content, 0o644)
}

func mountsAt(c *corev1.Container, path string) bool {
	return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return filepath.Clean(m.MountPath) == path })
}

// messagePath is where the last words of an attempt are.
func (p *pod) messagePath(name string, number int) string {
	return filepath.Join(p.podDir(p.uid), "containers", name, strconv.Itoa(number))
}

// staleWords is the attempt whose last words nobody asks for any more once there is
// the next: the last but one, if it is not the current one once more.
func staleWords(u *unit) int {
	stale := u.next - 2
	if u.cur != nil {
		stale = min(stale, u.cur.Attempt-1)
	}
	return stale
}

// makeMessage makes an empty file that any user of the container may write, and
// removes that of an attempt which nobody asks for any more.
func (p *pod) makeMessage(pod *corev1.Pod, c *corev1.Container, number, stale int) (string, error) {
	path := p.messagePath(c.Name, number)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := os.Remove(p.messagePath(c.Name, stale)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return "", err
	}
	return path, os.Chmod(path, 0o666) // whatever the umask
}

// tail reads the last bytes of a file.
func tail(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if _, err := f.Seek(max(0, info.Size()-limit), io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
