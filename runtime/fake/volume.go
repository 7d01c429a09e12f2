package fake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"skiff/runtime/container"
)

// CreateVolume notes a volume down.
func (e *Engine) CreateVolume(ctx context.Context, _ container.Pod, v container.Volume) error {
	if err := e.begin(ctx, "CreateVolume"); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.volumes[v.Name]; !ok {
		e.volumes[v.Name] = &stored{Volume: v}
	}
	return nil
}

// RemoveVolume forgets a volume.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	if err := e.begin(ctx, "RemoveVolume"); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.containers {
		for _, m := range r.spec.Mounts {
			if m.Volume == name {
				return fmt.Errorf("remove volume %s: a container has it: %w", name, container.ErrConflict)
			}
		}
	}
	delete(e.volumes, name)
	return nil
}

// Volumes lists the volumes.
func (e *Engine) Volumes(ctx context.Context) ([]container.Volume, error) {
	if err := e.begin(ctx, "Volumes"); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []container.Volume
	for _, v := range e.volumes {
		out = append(out, v.Volume)
	}
	return out, nil
}

// stored is a volume and what a test says is in it.
type stored struct {
	container.Volume
	used int64
}

// Fill says how many bytes are in a volume.
func (e *Engine) Fill(name string, used int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.volumes[name].used = used
}

// VolumeUsage is what Fill said.
func (e *Engine) VolumeUsage(ctx context.Context, name string) (int64, error) {
	if err := e.begin(ctx, "VolumeUsage"); err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	v, ok := e.volumes[name]
	if !ok {
		return 0, fmt.Errorf("measure volume %s: %w", name, container.ErrNotFound)
	}
	return v.used, nil
}

// PathType looks at this machine's files.
func (e *Engine) PathType(_ context.Context, _ container.Pod, path string) (fs.FileMode, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s: %w", path, container.ErrNotFound)
	}
	if err != nil {
		return 0, err
	}
	return info.Mode().Type(), nil
}

// MakeDir makes a directory on this machine.
func (e *Engine) MakeDir(_ context.Context, _ container.Pod, path string) error {
	return os.MkdirAll(path, 0o755)
}

// MakeFile makes an empty file on this machine.
func (e *Engine) MakeFile(_ context.Context, _ container.Pod, path string) error {
	return os.WriteFile(path, nil, 0o644)
}

// Below joins, as if there were no links; in a directory of this machine it
// makes what is missing.
func (e *Engine) Below(ctx context.Context, _ container.Pod, m container.Mount, sub string) (string, error) {
	if err := e.begin(ctx, "Below"); err != nil {
		return "", err
	}
	if m.Volume != "" {
		return filepath.Join("/volumes", m.Volume, sub), nil
	}
	path := filepath.Join(m.Source, sub)
	return path, os.MkdirAll(path, 0o755)
}
