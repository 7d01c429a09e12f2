package docker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/client"
)

func TestConnection(t *testing.T) {
	const (
		wrongJSON  = `{"currentContext":`
		setContext = `{"currentContext":"far","auths":{}}`
		// where docker keeps the context "far": the name's SHA-256
		far = "512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868"
	)
	for _, c := range []struct {
		name          string
		asked         string
		env           map[string]string
		config, far   string // config.json, and the context "far"
		host, problem string
	}{
		{name: "nothing set", host: client.DefaultDockerHost},
		{name: "asked for", asked: "tcp://10.0.0.1:2375", env: map[string]string{"DOCKER_HOST": "tcp://10.0.0.2:2375"}, host: "tcp://10.0.0.1:2375"},
		{name: "DOCKER_HOST before context", env: map[string]string{"DOCKER_HOST": "tcp://10.0.0.2:2375"}, config: setContext, host: "tcp://10.0.0.2:2375"},
		{name: "no context", config: `{"auths":{}}`, host: client.DefaultDockerHost},
		{name: "default context", config: `{"currentContext":"default"}`, host: client.DefaultDockerHost},
		{name: "context", config: setContext, far: `{"Name":"far","Endpoints":{"docker":{"Host":"unix:///far.sock"}}}`, host: "unix:///far.sock"},
		{name: "DOCKER_CONTEXT", env: map[string]string{"DOCKER_CONTEXT": "far"}, far: `{"Endpoints":{"docker":{"Host":"unix:///far.sock"}}}`, host: "unix:///far.sock"},
		{name: "context that is not there", config: setContext, problem: `read docker context "far"`},
		{name: "context without engine", config: setContext, far: `{}`, problem: "names no engine"},
		{name: "context over ssh", config: setContext, far: `{"Endpoints":{"docker":{"Host":"ssh://me@far"}}}`, problem: "over ssh are not supported"},
		{name: "damaged configuration", config: wrongJSON, problem: "config.json: unexpected end of JSON input"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("DOCKER_CONFIG", dir)
			for _, name := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"} {
				t.Setenv(name, c.env[name])
			}
			write(t, filepath.Join(dir, "config.json"), c.config)
			write(t, filepath.Join(dir, "contexts", "meta", far, "meta.json"), c.far)
			e, err := New(Options{Instance: "x", Host: c.asked})
			if err != nil {
				if c.problem == "" || !strings.Contains(err.Error(), c.problem) {
					t.Errorf("New = %v, want %q", err, c.problem)
				}
				return
			}
			defer e.Close()
			if got := e.api.DaemonHost(); c.problem != "" || got != c.host {
				t.Errorf("host %s, want %s %s", got, c.host, c.problem)
			}
		})
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if content == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
