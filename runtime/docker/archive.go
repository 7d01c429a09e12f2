package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/client"
)

// load puts an image into the engine.
func (e *Engine) load(ctx context.Context, archive io.Reader) error {
	answer, err := e.api.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return failure("load image", err)
	}
	defer answer.Body.Close()
	// The engine reports problems in the body, as it does for a pull.
	if err := readPull(answer.Body, func(int64, int64) {}); err != nil {
		return failure("load image", err)
	}
	return nil
}

type imageConfig struct {
	Entrypoint []string
	StopSignal string            `json:",omitempty"`
	Labels     map[string]string `json:",omitempty"`
}

// file is what an archive holds.
type file struct {
	name string
	size int64
	open func() (io.ReadCloser, error)
}

func fileOf(name string, content []byte) file {
	return file{name, int64(len(content)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
}

// imageArchive packs an image of small files.
func imageArchive(ref, arch string, config imageConfig, files ...entry) ([]byte, error) {
	var archive bytes.Buffer
	err := writeImage(&archive, ref, arch, config, files...)
	return archive.Bytes(), err
}

// writeImage packs an image of some files in the format of `docker save`. They
// are read twice, and never held as a whole.
func writeImage(w io.Writer, ref, arch string, config imageConfig, files ...entry) error {
	layer := file{name: "layer.tar", open: func() (io.ReadCloser, error) {
		r, to := io.Pipe()
		go func() { to.CloseWithError(writeTar(to, files...)) }()
		return r, nil
	}}
	sum, err := layer.measure()
	if err != nil {
		return fmt.Errorf("pack image %s: %w", ref, err)
	}
	description, err := json.Marshal(map[string]any{
		"architecture": arch,
		"os":           "linux",
		"created":      "1970-01-01T00:00:00Z",
		"config":       config,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + sum}},
		"history":      []any{map[string]string{"created": "1970-01-01T00:00:00Z", "created_by": "skiff"}},
	})
	if err != nil {
		return fmt.Errorf("pack image %s: %w", ref, err)
	}
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": "config.json", "RepoTags": []string{ref}, "Layers": []string{layer.name},
	}})
	if err != nil {
		return fmt.Errorf("pack image %s: %w", ref, err)
	}
	if err := writeTar(w,
		entry{file: fileOf("config.json", description), mode: 0o444},
		entry{file: layer, mode: 0o444},
		entry{file: fileOf("manifest.json", manifest), mode: 0o444},
	); err != nil {
		return fmt.Errorf("pack image %s: %w", ref, err)
	}
	return nil
}

// measure reads the file for its size and its sum.
func (f *file) measure() (sum string, err error) {
	content, err := f.open()
	if err != nil {
		return "", err
	}
	defer content.Close()
	hash := sha256.New()
	f.size, err = io.Copy(hash, content)
	return hex.EncodeToString(hash.Sum(nil)), err
}

// entry is a file of an archive, or a directory where the name ends in a slash.
type entry struct {
	file
	mode int64
	uid  int
	gid  int
	at   time.Time // of its last change; zero: 1970, as in images, whose sums must not change
}

func writeTar(w io.Writer, entries ...entry) error {
	t := tar.NewWriter(w)
	for _, e := range entries {
		// WriteHeader knows a directory by its slash.
		if err := t.WriteHeader(&tar.Header{Name: e.name, Mode: e.mode, Uid: e.uid, Gid: e.gid, Size: e.size, ModTime: e.at}); err != nil {
			return err
		}
		content, err := e.open()
		if err != nil {
			return err
		}
		_, err = io.Copy(t, content)
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
	}
	return t.Close()
}
