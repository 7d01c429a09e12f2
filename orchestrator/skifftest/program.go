package skifftest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// GatewayProgram gives a skiff that runs in a container, which a test's own
// program does not: it needs the system's libraries. It is built from the
// sources as they are, which takes no time when it has been before.
func GatewayProgram(t testing.TB) string {
	t.Helper()
	path, err := gatewayProgram()
	if err != nil {
		t.Fatalf("build the gateway's program: %v", err)
	}
	return path
}

var gatewayProgram = sync.OnceValues(func() (path string, err error) {
	root, err := sources(".")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(root, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	// The tests of several packages run side by side.
	lock := flock.New(filepath.Join(bin, ".gateway.lock"))
	if err := lock.Lock(); err != nil {
		return "", err
	}
	defer func() { _ = lock.Unlock() }()
	path = filepath.Join(bin, "skiff-gateway")
	build := exec.Command("make", "-s", "build", "BIN="+path)
	build.Dir = root
	build.Env = append(os.Environ(), "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// sources is where skiff's own module is, as seen from a directory of a test: of
// skiff, or of a module that replaces skiff by a directory.
func sources(dir string) (string, error) {
	list := exec.Command("go", "list", "-f", "{{.Module.Dir}}", "skiff/orchestrator/skifftest")
	list.Dir = dir
	out, err := list.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		return "", fmt.Errorf("find skiff's sources: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
