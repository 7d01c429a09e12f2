package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/docker/docker/client"
)

// load puts an image into the engine.
func (e *Engine) load(ctx context.Context, archive []byte) error {
	answer, err := e.api.ImageLoad(ctx, bytes.NewReader(archive), client.ImageLoadWithQuiet(true))
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

// imageArchive packs an image of a single file in the format of `docker save`.
func imageArchive(ref, arch string, config imageConfig, file string, content []byte) ([]byte, error) {
	var layer bytes.Buffer
	if err := writeTar(&layer, entry{file, 0o555, content}); err != nil {
		return nil, fmt.Errorf("pack image %s: %w", ref, err)
	}
	sum := sha256.Sum256(layer.Bytes())
	description, err := json.Marshal(map[string]any{
		"architecture": arch,
		"os":           "linux",
		"created":      "1970-01-01T00:00:00Z",
		"config":       config,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
		"history":      []any{map[string]string{"created": "1970-01-01T00:00:00Z", "created_by": "skiff"}},
	})
	if err != nil {
		return nil, fmt.Errorf("pack image %s: %w", ref, err)
	}
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": "config.json", "RepoTags": []string{ref}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return nil, fmt.Errorf("pack image %s: %w", ref, err)
	}
	var archive bytes.Buffer
	if err := writeTar(&archive,
		entry{"config.json", 0o444, description},
		entry{"layer.tar", 0o444, layer.Bytes()},
		entry{"manifest.json", 0o444, manifest},
	); err != nil {
		return nil, fmt.Errorf("pack image %s: %w", ref, err)
	}
	return archive.Bytes(), nil
}

type entry struct {
	name    string
	mode    int64
	content []byte
}

func writeTar(w io.Writer, entries ...entry) error {
	t := tar.NewWriter(w)
	for _, e := range entries {
		if err := t.WriteHeader(&tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.content))}); err != nil {
			return err
		}
		if _, err := t.Write(e.content); err != nil {
			return err
		}
	}
	return t.Close()
}
