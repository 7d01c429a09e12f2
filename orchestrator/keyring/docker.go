package keyring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"skiff/runtime/container"
)

// helperTimeout bounds a helper, which may ask a key store that asks the user.
const helperTimeout = 30 * time.Second

// Docker is what the user has told the docker command: docker login.
type Docker struct{ Dir string } // of config.json

// DockerDir is where the docker command keeps it; empty where the user has no
// home.
func DockerDir() string {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".docker")
}

// Lookup gives the user's own credentials for an image: those in the
// configuration's file, or those that a helper keeps. It is read anew each
// time, for the user may log in at any moment.
func (d Docker) Lookup(ctx context.Context, image string) ([]container.Credential, error) {
	if d.Dir == "" {
		return nil, nil
	}
	data, err := os.ReadFile(filepath.Join(d.Dir, "config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read docker's configuration: %w", err)
	}
	var config struct {
		Store   string            `json:"credsStore"`
		Helpers map[string]string `json:"credHelpers"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("read docker's configuration: %w", err)
	}
	host, _, err := splitImage(image)
	if err != nil {
		return nil, err
	}
	if helper := helperFor(config.Helpers, config.Store, host); helper != "" {
		return askHelper(ctx, helper, host)
	}
	ring, err := Parse(data)
	if err != nil {
		return nil, err
	}
	return ring.Lookup(image), nil
}

func helperFor(helpers map[string]string, store, host string) string {
	for registry, helper := range helpers {
		if at, _ := splitRegistry(registry); at == host {
			return helper
		}
	}
	return store
}

// hubServer is what Docker Hub's credentials are stored under.
const hubServer = "https://" + dockerHub + "/v1/"

// askHelper runs docker-credential-NAME. One that knows nothing of the registry
// is no failure: the image may be anybody's.
func askHelper(ctx context.Context, name, host string) ([]container.Credential, error) {
	if name != filepath.Base(name) {
		return nil, fmt.Errorf("read docker's configuration: %q is not the name of a credential helper", name)
	}
	server := host
	if host == dockerHub {
		server = hubServer
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker-credential-"+name, "get")
	cmd.Stdin = strings.NewReader(server)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stdout.String() + stderr.String())
		if strings.Contains(said, "credentials not found") {
			return nil, nil
		}
		return nil, fmt.Errorf("ask %s for the credentials of %s: %w: %s", filepath.Base(cmd.Path), server, err, said)
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(stdout.Bytes(), &answer); err != nil {
		return nil, fmt.Errorf("read the answer of docker-credential-%s: %w", name, err)
	}
	as := container.Credential{Registry: server, Username: answer.Username, Password: answer.Secret}
	if answer.Username == "<token>" {
		as = container.Credential{Registry: server, IdentityToken: answer.Secret}
	}
	return []container.Credential{as}, nil
}
