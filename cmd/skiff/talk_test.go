package main

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestForwardedPorts(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Ports: []corev1.ContainerPort{{Name: "www", ContainerPort: 8080}},
	}}}}
	svc := &corev1.Service{Spec: corev1.ServiceSpec{ClusterIP: "10.0.0.9", Ports: []corev1.ServicePort{
		{Name: "http", Port: 80, TargetPort: intstr.FromString("www")}, {Name: "db", Port: 5432},
	}}}
	for _, test := range []struct {
		of     runtime.Object
		wanted string
		want   string // "": an error
	}{
		{pod, "8080", "8080:8080"},
		{pod, "9000:www", "9000:8080"},
		{pod, ":www", ":8080"},
		{pod, "ftp", ""},
		{svc, "80", "80:8080"},
		{svc, "http", "80:8080"},
		{svc, "8081:http", "8081:8080"},
		{svc, ":5432", ":5432"},
		{svc, "81", ""},
		{svc, "ftp", ""},
	} {
		got, err := forwardedPorts([]string{test.wanted}, test.of, pod)
		if (err == nil) != (test.want != "") || err == nil && got[0] != test.want {
			t.Errorf("%T %s: got %v, %v, want %q", test.of, test.wanted, got, err, test.want)
		}
	}
}

func TestParseRemote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]remotePath{
		"web:/tmp/a":      {"", "web", "/tmp/a"},
		"shop/web:rel":    {"shop", "web", "rel"},
		"web:/a:b":        {"", "web", "/a:b"},
		"./web:a":         {},
		"/srv/shop/web:a": {},
		"file":            {},
	} {
		if got, remote := parseRemote(text); remote && got != want || remote != (want != remotePath{}) {
			t.Errorf("%s: got %+v, %t, want %+v", text, got, remote, want)
		}
	}
}

// A directory goes there and back as it is, without links; what an archive from
// a container says about other places is refused.
func TestPacking(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(from, "d", "e"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"d/one": "1", "d/e/two": "2"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(from, "d", "link")); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := pack(filepath.Join(from, "d"), "d", &archive); err != nil {
		t.Fatal(err)
	}
	if err := unpack(&archive, "d", filepath.Join(to, "copy")); err != nil {
		t.Fatal(err)
	}
	var found []string
	if two, err := os.ReadFile(filepath.Join(to, "copy/e/two")); err != nil || string(two) != "2" {
		t.Errorf("copy/e/two: %q, %v", two, err)
	}
	entries, err := filepath.Glob(filepath.Join(to, "copy", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		found = append(found, filepath.Base(entry))
	}
	if !slices.Equal(found, []string{"e", "one"}) {
		t.Errorf("found %v", found)
	}
	if err := os.Mkdir(filepath.Join(to, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../escaped", "d/../../escaped", "/escaped", "elsewhere"} {
		var evil bytes.Buffer
		w := tar.NewWriter(&evil)
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 1, Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := unpack(&evil, "d", filepath.Join(to, "in", "copy")); err == nil || !strings.Contains(err.Error(), "not below d") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
