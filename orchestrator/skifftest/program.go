package skifftest

import (
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
	module, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	root := filepath.Dir(strings.TrimSpace(string(module)))
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
