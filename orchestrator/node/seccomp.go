package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
)

// mostSeccomp bounds a profile. The engine's own has 12 KB.
const mostSeccomp = 1 << 20

// creationError is why a container cannot be made though its configuration is
// all there.
type creationError struct{ error }

func (e creationError) Unwrap() error { return e.error }

// seccompRoot is where the user puts the profiles that Pods name.
func (w *shared) seccompRoot() string { return filepath.Join(w.DataDir, "seccomp") }

// seccomp reads the profile of the node that the container asks for; nothing
// where it asks for none.
func (w *shared) seccomp(p *corev1.SeccompProfile) (string, error) {
	if p == nil || p.Type != corev1.SeccompProfileTypeLocalhost || p.LocalhostProfile == nil {
		return "", nil
	}
	path := filepath.Join(w.seccompRoot(), *p.LocalhostProfile)
	profile, err := readSeccomp(path)
	if err != nil {
		return "", creationError{fmt.Errorf("cannot load seccomp profile %q: %w", path, err)}
	}
	return profile, nil
}

func readSeccomp(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(err, errors.New("it is no file"))
	}
	content, err := io.ReadAll(io.LimitReader(file, mostSeccomp+1))
	switch {
	case err != nil:
		return "", err
	case len(content) > mostSeccomp:
		return "", fmt.Errorf("it has more than %d bytes", mostSeccomp)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(content, &object); err != nil {
		return "", fmt.Errorf("decode profile: %w", err)
	}
	return string(content), nil
}
