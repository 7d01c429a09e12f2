package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"skiff/runtime/container"
)

// Image describes an image that the engine has. It answers
// container.ErrNotFound where the engine has none of that name; nothing is
// pulled.
func (e *Engine) Image(ctx context.Context, ref string) (container.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	i, err := e.api.ImageInspect(ctx, ref)
	if err != nil {
		return container.Image{}, failure("inspect image "+ref, err)
	}
	out := container.Image{
		ID:        i.ID,
		Digests:   i.RepoDigests,
		CreatedAt: parseTime(i.Created),
		Size:      i.Size,
	}
	if i.Config != nil {
		out.Entrypoint = i.Config.Entrypoint
		out.Cmd = i.Config.Cmd
		out.Env = i.Config.Env
		out.WorkingDir = i.Config.WorkingDir
		out.User = i.Config.User
	}
	return out, nil
}

// Pull fetches an image from its registry. as says who asks for it. Progress is told in bytes over all
// layers known so far, so that the total grows at first.
func (e *Engine) Pull(ctx context.Context, ref string, as container.Credential, progress func(done, total int64)) (container.Image, error) {
	auth, err := registryAuth(as)
	if err != nil {
		return container.Image{}, err
	}
	stream, err := e.api.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth})
	if err != nil {
		return container.Image{}, pullFailure(ref, err)
	}
	defer stream.Close()
	if err := readPull(stream, progress); err != nil {
		return container.Image{}, pullFailure(ref, err)
	}
	return e.Image(ctx, ref)
}

// registryAuth is a credential in the engine's form; empty for nobody's.
func registryAuth(as container.Credential) (string, error) {
	if as == (container.Credential{}) {
		return "", nil
	}
	auth, err := registry.EncodeAuthConfig(registry.AuthConfig{
		Username: as.Username, Password: as.Password, IdentityToken: as.IdentityToken, ServerAddress: as.Registry,
	})
	if err != nil {
		return "", fmt.Errorf("encode registry credentials: %w", err)
	}
	return auth, nil
}

// pullFailure adds what a user can do about it. Everything but "not found"
// comes as an internal error of the engine, which has put the cause in words.
func pullFailure(ref string, err error) error {
	what := fmt.Sprintf("pull image %q", ref)
	switch {
	case cerrdefs.IsNotFound(err):
		return failure(what, err)
	case cerrdefs.IsUnauthorized(err), cerrdefs.IsPermissionDenied(err), denied(err):
		return failure(what+": the registry denies access (docker login)", err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", what, err)
	}
	return failure(what+": no answer from its registry", err)
}

// denied finds a registry's refusal in the engine's words, which are all that it
// passes on of it.
func denied(err error) bool {
	for _, words := range []string{"unauthorized: ", "no basic auth credentials", "denied: "} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// pullMessage is the part of a line of the pull's report that is of use here.
type pullMessage struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Progress struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	Error struct {
		Message string `json:"message"`
	} `json:"errorDetail"`
}

// No image has so many layers; a registry could otherwise fill the memory.
const maxLayers = 1000

type layer struct{ done, total int64 }

// readPull follows the report to its end. The pull is over when it is.
func readPull(r io.Reader, progress func(done, total int64)) error {
	decoder := json.NewDecoder(r)
	layers := map[string]layer{}
	for {
		var m pullMessage
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read progress: %w", err)
		}
		if m.Error.Message != "" {
			return errors.New(m.Error.Message)
		}
		if !note(layers, m) {
			continue
		}
		var sum layer
		for _, l := range layers {
			sum.done += l.done
			sum.total += l.total
		}
		progress(sum.done, sum.total)
	}
}

// note enters a message into the layers' account and says whether it changed.
func note(layers map[string]layer, m pullMessage) bool {
	l, known := layers[m.ID]
	switch {
	case m.Status == "Downloading" && m.Progress.Total > 0:
		l = layer{done: m.Progress.Current, total: m.Progress.Total}
	case m.Status == "Download complete" && known:
		l.done = l.total
	default:
		return false
	}
	if !known && len(layers) >= maxLayers {
		return false
	}
	layers[m.ID] = l
	return true
}
