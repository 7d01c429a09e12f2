package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

func TestSeccomp(t *testing.T) {
	t.Parallel()
	w := &shared{Options: Options{DataDir: t.TempDir()}}
	root := filepath.Join(w.DataDir, "seccomp")
	if err := os.MkdirAll(filepath.Join(root, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"good.json": `{"defaultAction": "SCMP_ACT_ALLOW"}`, "list.json": "[]", "bad.json": "{", "big.json": `"` + strings.Repeat("x", mostSeccomp) + `"`} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []*corev1.SeccompProfile{nil, {Type: corev1.SeccompProfileTypeRuntimeDefault}, {Type: corev1.SeccompProfileTypeUnconfined}} {
		if got, err := w.seccomp(p); got != "" || err != nil {
			t.Errorf("%+v: %q, %v", p, got, err)
		}
	}
	read := func(name string) (string, error) {
		return w.seccomp(&corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: ptr.To(name)})
	}
	if got, err := read("good.json"); err != nil || got != `{"defaultAction": "SCMP_ACT_ALLOW"}` {
		t.Errorf("a good one: %q, %v", got, err)
	}
	for name, want := range map[string]string{
		"none.json": "no such file or directory", "dir": "it is no file", "bad.json": "decode profile", "list.json": "decode profile", "big.json": "more than 1048576 bytes",
	} {
		_, err := read(name)
		var creation creationError
		if !errors.As(err, &creation) || !strings.HasPrefix(err.Error(), `cannot load seccomp profile "`+filepath.Join(root, name)+`": `) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
