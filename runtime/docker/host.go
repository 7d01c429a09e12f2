package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/client"
)

// connection finds the engine as the docker command does: a host that was
// asked for, DOCKER_HOST, the current context, the platform's default.
func connection(host string) ([]client.Opt, error) {
	if host != "" {
		return []client.Opt{client.WithHost(host)}, nil
	}
	if os.Getenv(client.EnvOverrideHost) != "" {
		return []client.Opt{client.FromEnv}, nil
	}
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return []client.Opt{client.FromEnv}, nil
		}
		dir = filepath.Join(home, ".docker")
	}
	name, err := currentContext(dir)
	if err != nil {
		return nil, err
	}
	if name == "" || name == "default" {
		return []client.Opt{client.FromEnv}, nil
	}
	return contextConnection(dir, name)
}

func currentContext(dir string) (string, error) {
	if name := os.Getenv("DOCKER_CONTEXT"); name != "" {
		return name, nil
	}
	var config struct {
		CurrentContext string `json:"currentContext"`
	}
	path := filepath.Join(dir, "config.json")
	if err := readJSON(path, &config); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read docker's configuration: %w", err)
	}
	return config.CurrentContext, nil
}

// contextConnection reads what `docker context create` stored. The directories
// are called after the hash of the context's name.
func contextConnection(dir, name string) ([]client.Opt, error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	if err := readJSON(filepath.Join(dir, "contexts", "meta", id, "meta.json"), &meta); err != nil {
		return nil, fmt.Errorf("read docker context %q: %w", name, err)
	}
	host := meta.Endpoints["docker"].Host
	if host == "" {
		return nil, fmt.Errorf("read docker context %q: it names no engine", name)
	}
	if strings.HasPrefix(host, "ssh://") {
		return nil, fmt.Errorf("use docker context %q: engines over ssh are not supported: skiff must reach the containers' addresses", name)
	}
	opts := []client.Opt{client.WithHost(host)}
	tls := filepath.Join(dir, "contexts", "tls", id, "docker")
	if _, err := os.Stat(filepath.Join(tls, "cert.pem")); err == nil {
		opts = append(opts, client.WithTLSClientConfig(
			filepath.Join(tls, "ca.pem"), filepath.Join(tls, "cert.pem"), filepath.Join(tls, "key.pem")))
	}
	return opts, nil
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
