package keyring

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skiff/runtime/container"
)

func auth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func names(list []container.Credential) string {
	var out []string
	for _, c := range list {
		out = append(out, c.Username+c.IdentityToken)
	}
	return strings.Join(out, " ")
}

func TestLookup(t *testing.T) {
	t.Parallel()
	ring, err := Parse([]byte(`{"auths": {
		"https://index.docker.io/v1/": {"auth": "` + auth("hub", "p") + `"},
		"ghcr.io": {"username": "gh", "password": "p"},
		"registry.example.com/team": {"auth": "` + auth("team", "p") + `"},
		"registry.example.com": {"auth": "` + auth("all", "p") + `"},
		"*.wild.example.com": {"auth": "` + auth("wild", "p") + `"},
		"localhost:5000": {"auth": "` + auth("port", "p:q") + `"},
		"http://plain.example.com/v2/": {"identitytoken": "token"},
		"empty.example.com": {}
	}}`))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"nginx":                          "hub",
		"docker.io/library/nginx:1":      "hub",
		"me/app":                         "hub",
		"ghcr.io/a/b:1":                  "gh",
		"registry.example.com/team/app":  "team all",
		"registry.example.com/teams/app": "all",
		"registry.example.com/app@sha256:" + strings.Repeat("a", 64): "all",
		"a.wild.example.com/app":                                     "wild",
		"a.b.wild.example.com/app":                                   "",
		"wild.example.com/app":                                       "",
		"localhost:5000/app":                                         "port",
		"localhost:5001/app":                                         "",
		"plain.example.com/app":                                      "token",
		"empty.example.com/app":                                      "",
		"elsewhere.example.com/app":                                  "",
		"Not An Image":                                               "",
	}
	for image, want := range tests {
		if got := names(ring.Lookup(image)); got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
	want := []container.Credential{{Registry: "localhost:5000", Username: "port", Password: "p:q"}}
	if diff := cmp.Diff(want, ring.Lookup("localhost:5000/app")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	legacy, err := ParseLegacy([]byte(`{"ghcr.io": {"auth": "` + auth("old", "p") + `"}}`))
	if err != nil || names(legacy.Lookup("ghcr.io/a")) != "old" {
		t.Errorf("the old form: %v, %v", legacy, err)
	}
	for _, bad := range []string{``, `{"auths": 1}`, `{"auths": {"a": {"auth": "%"}}}`, `{"auths": {"a": {"auth": "` + base64.StdEncoding.EncodeToString([]byte("x")) + `"}}}`} {
		if ring, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q gives %v", bad, ring)
		}
	}
}

func TestDocker(t *testing.T) {
	dir := t.TempDir()
	d := Docker{Dir: dir}
	if got, err := d.Lookup(t.Context(), "nginx"); err != nil || got != nil {
		t.Errorf("without a configuration: %v, %v", got, err)
	}
	config := `{"auths": {"ghcr.io": {"auth": "` + auth("file", "p") + `"}, "help.example.com": {}}, "credHelpers": {
		"help.example.com": "test", "token.example.com": "test", "none.example.com": "test", "broken.example.com": "test", "bad.example.com": "../test"}}`
	helper := `#!/bin/sh
read server
case "$1 $server" in
"get help.example.com") echo '{"ServerURL": "x", "Username": "helped", "Secret": "p"}' ;;
"get token.example.com") echo '{"Username": "<token>", "Secret": "t"}' ;;
"get none.example.com") echo "credentials not found in native keychain"; exit 1 ;;
*) echo "the key store is locked" >&2; exit 1 ;;
esac
`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-test"), []byte(helper), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for image, want := range map[string]string{"ghcr.io/a": "file", "help.example.com/a": "helped", "token.example.com/a": "t", "none.example.com/a": "", "nginx": ""} {
		if got, err := d.Lookup(t.Context(), image); err != nil || names(got) != want {
			t.Errorf("%s: %q, %v, want %q", image, names(got), err, want)
		}
	}
	for image, want := range map[string]string{"broken.example.com/a": "the key store is locked", "bad.example.com/a": "not the name of a credential helper"} {
		if got, err := d.Lookup(t.Context(), image); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", image, got, err)
		}
	}
}
