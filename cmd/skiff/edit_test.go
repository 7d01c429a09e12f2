package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scripted is an editor that makes one change each time it is opened and keeps
// what it was shown. The last change is made whenever it is opened once more.
func scripted(t *testing.T, changes ...string) (shown func(n int) string) {
	t.Helper()
	dir := t.TempDir()
	for i, change := range changes {
		if err := os.WriteFile(filepath.Join(dir, "change."+string(rune('0'+i))), []byte(change), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := `#!/bin/sh
n=$(ls ` + dir + ` | grep -c '^shown')
cp "$1" ` + dir + `/shown.$n
change=` + dir + `/change.$n
test -f "$change" || exit 0
sed -f "$change" "$1" > ` + dir + `/edited && cp ` + dir + `/edited "$1"
`
	path := filepath.Join(dir, "editor")
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBE_EDITOR", path)
	return func(n int) string {
		text, err := os.ReadFile(filepath.Join(dir, "shown."+string(rune('0'+n))))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func TestEdit(t *testing.T) {
	stored := t.TempDir()
	t.Setenv("TMPDIR", stored)
	c := newCluster(t)
	file := c.write(t, "web.yaml", webAndService)
	c.run(t, "", "create", "-f", file)

	t.Run("a change", func(t *testing.T) {
		shown := scripted(t, "s/replicas: 2/replicas: 3/")
		if got, want := c.run(t, "", "edit", "deployment/web"), (result{"deployment.apps/web edited\n", "", 0}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if text := shown(0); !strings.HasPrefix(text, "# Please edit the object below.") || strings.Contains(text, "managedFields") {
			t.Errorf("the editor was shown\n%s", text)
		}
	})
	t.Run("invalid, put right", func(t *testing.T) {
		shown := scripted(t, "s/replicas: 3/replicas: -1/", "s/replicas: -1/replica: 4/", "s/replica: 4/replicas: 4/")
		got := c.run(t, "", "edit", "deployment/web")
		if want := (result{"deployment.apps/web edited\n", "error: deployments.apps \"web\" is invalid\n", 0}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		for n, problem := range []string{
			"", "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
			`spec.replica: unknown field "replica" (did you mean "replicas"?)`,
		} {
			if problem != "" {
				checkCited(t, shown(n), problem)
			}
		}
	})
	t.Run("nothing changed", func(t *testing.T) {
		scripted(t, "s/x/x/")
		if got, want := c.run(t, "", "edit", "deployment/web"), (result{"", "Edit cancelled, no changes made.\n", 0}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("emptied", func(t *testing.T) {
		scripted(t, "d")
		if got, want := c.run(t, "", "edit", "deployment/web"), (result{"", "Edit cancelled, saved file was empty.\n", 0}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("given up", func(t *testing.T) {
		scripted(t, "s/replicas: 4/replicas: -1/")
		got := c.run(t, "", "edit", "deployment/web")
		if got.Code != 1 || !strings.Contains(got.Err, "A copy of your changes has been stored to") || !strings.HasSuffix(got.Err, "error: Edit cancelled, no valid changes were saved.\n") {
			t.Errorf("got %+v", got)
		}
		copies, err := filepath.Glob(filepath.Join(stored, "skiff-edit-*"))
		if err != nil || len(copies) != 1 || !strings.Contains(got.Err, copies[0]) {
			t.Fatalf("stored is %q (%v), the user was told %q", copies, err, got.Err)
		}
		if text, err := os.ReadFile(copies[0]); err != nil || !strings.Contains(string(text), "replicas: -1") {
			t.Errorf("the copy is %q (%v)", text, err)
		}
		if err := os.Remove(copies[0]); err != nil {
			t.Error(err)
		}
	})
	t.Run("another name", func(t *testing.T) {
		shown := scripted(t, "s/^  name: web/  name: other/", "s/^  name: other/  name: web/;s/replicas: 4/replicas: 1/")
		if got, want := c.run(t, "", "edit", "deployment/web"), (result{"deployment.apps/web edited\n", "", 0}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if !strings.Contains(shown(1), `Deployment "other" is not one of the objects that are being edited`) {
			t.Errorf("the editor was shown\n%s", shown(1))
		}
	})
	t.Run("several", func(t *testing.T) {
		scripted(t, "s/replicas: 1/replicas: 0/")
		if got, want := c.run(t, "", "edit", "-f", file, "--record"), (result{"deployment.apps/web edited\nservice/web skipped\n",
			"Flag --record has been deprecated, --record will be removed in the future\n", 0}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	if left, err := filepath.Glob(filepath.Join(stored, "skiff-edit-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q (%v)", left, err)
	}
}

// checkCited looks for a problem in the header and for its field on the line
// that it names.
func checkCited(t *testing.T, text, problem string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	field := problem[strings.LastIndex(problem[:strings.Index(problem, ":")], ".")+1 : strings.Index(problem, ":")]
	for _, line := range lines {
		var n int
		rest, found := strings.CutPrefix(line, "# * line ")
		if !found || !strings.HasSuffix(line, problem) {
			continue
		}
		for _, digit := range rest[:strings.Index(rest, ":")] {
			n = n*10 + int(digit-'0')
		}
		if !strings.Contains(lines[n-1], field+":") {
			t.Errorf("line %d is %q, not where %s is", n, lines[n-1], field)
		}
		return
	}
	t.Errorf("%q is not in\n%s", problem, text)
}
