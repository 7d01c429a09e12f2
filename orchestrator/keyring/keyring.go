// Package keyring finds the credentials that an image is pulled with: those of
// a Pod's pull secrets, and those that the user has given to Docker.
package keyring

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"skiff/runtime/container"
)

// Keyring are credentials by the registries, or parts of them, that they are
// for.
type Keyring []key

type key struct {
	host, path string
	as         container.Credential
}

// login is what a configuration of Docker's says of one registry.
type login struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"` // both, encoded
	IdentityToken string `json:"identitytoken"`
}

// Parse reads the content of a Secret of type kubernetes.io/dockerconfigjson.
func Parse(data []byte) (Keyring, error) {
	var config struct {
		Auths map[string]login `json:"auths"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("read registry credentials: %w", err)
	}
	return build(config.Auths)
}

// ParseLegacy reads the content of a Secret of type kubernetes.io/dockercfg.
func ParseLegacy(data []byte) (Keyring, error) {
	var logins map[string]login
	if err := json.Unmarshal(data, &logins); err != nil {
		return nil, fmt.Errorf("read registry credentials: %w", err)
	}
	return build(logins)
}

func build(logins map[string]login) (Keyring, error) {
	var ring Keyring
	for registry, l := range logins {
		as, err := l.credential()
		if err != nil {
			return nil, fmt.Errorf("read credentials for registry %s: %w", registry, err)
		}
		if as == (container.Credential{}) {
			continue // Docker leaves such an entry where a helper has the rest
		}
		host, within := splitRegistry(registry)
		as.Registry = registry
		ring = append(ring, key{host: host, path: within, as: as})
	}
	// The more exact come first; the order of a map must not decide.
	slices.SortFunc(ring, func(a, b key) int {
		return cmp.Or(cmp.Compare(len(b.path), len(a.path)), cmp.Compare(b.host, a.host), cmp.Compare(a.as.Registry, b.as.Registry))
	})
	return ring, nil
}

func (l login) credential() (container.Credential, error) {
	as := container.Credential{Username: l.Username, Password: l.Password, IdentityToken: l.IdentityToken}
	if l.Auth == "" {
		return as, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(l.Auth)
	if err != nil {
		decoded, err = base64.RawStdEncoding.DecodeString(l.Auth)
	}
	if err != nil {
		return as, fmt.Errorf("auth is not base64: %w", err)
	}
	user, password, found := strings.Cut(string(decoded), ":")
	if !found {
		return as, fmt.Errorf("auth does not hold a user's name and password")
	}
	as.Username, as.Password = user, strings.TrimRight(password, "\x00")
	return as, nil
}

// Lookup gives the credentials for an image, the more exact first.
func (r Keyring) Lookup(image string) []container.Credential {
	host, repository, err := splitImage(image)
	if err != nil {
		return nil
	}
	var found []container.Credential
	for _, k := range r {
		if matchHost(k.host, host) && within(repository, k.path) && !slices.Contains(found, k.as) {
			found = append(found, k.as)
		}
	}
	return found
}

// dockerHub goes by several names.
const dockerHub = "index.docker.io"

func canonical(host string) string {
	switch host {
	case "docker.io", "registry-1.docker.io", dockerHub:
		return dockerHub
	}
	return host
}

// splitRegistry takes a key of a configuration apart: https://index.docker.io/v1/,
// ghcr.io, *.example.com or host:5000/team.
func splitRegistry(key string) (host, within string) {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, within, _ = strings.Cut(key, "/")
	within = strings.Trim(within, "/")
	for _, version := range []string{"v1", "v2"} {
		if within == version {
			within = ""
		}
		within = strings.TrimPrefix(within, version+"/")
	}
	return canonical(host), within
}

func splitImage(image string) (host, repository string, err error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", "", fmt.Errorf("read image reference %q: %w", image, err)
	}
	return canonical(reference.Domain(named)), reference.Path(named), nil
}

// matchHost compares part by part, of which a pattern's may have stars.
func matchHost(pattern, host string) bool {
	patterns, parts := strings.Split(pattern, "."), strings.Split(host, ".")
	if len(patterns) != len(parts) {
		return false
	}
	for i, p := range patterns {
		if ok, err := path.Match(p, parts[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

func within(repository, prefix string) bool {
	return prefix == "" || repository == prefix || strings.HasPrefix(repository, prefix+"/")
}
