package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"skiff/orchestrator"
)

// writeConfig writes a kubeconfig with one context, named name.
func writeConfig(t *testing.T, path, name, authority string) {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1", CertificateAuthorityData: []byte(authority)}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: "secret"}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
}

func TestMergeAndForget(t *testing.T) {
	dir := t.TempDir()
	at := place{name: "test", dir: dir, paths: orchestrator.PathsIn(dir)}
	writeConfig(t, at.kubeconfig(), "skiff-test", "ours")
	users := filepath.Join(t.TempDir(), "config")
	t.Setenv("KUBECONFIG", users)
	var out bytes.Buffer
	p := testProgram(&out, &out)
	load := func() *clientcmdapi.Config {
		t.Helper()
		config, err := clientcmd.LoadFromFile(users)
		if err != nil {
			t.Fatal(err)
		}
		return config
	}

	if err := p.merge(at); err != nil {
		t.Fatal(err)
	}
	if c := load(); c.CurrentContext != "skiff-test" || c.Clusters["skiff-test"] == nil || c.AuthInfos["skiff-test"] == nil || c.Contexts["skiff-test"] == nil {
		t.Errorf("merged into nothing: %+v", c)
	}
	if info, err := os.Stat(users); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of a kubeconfig with a key in it: %v, %v", info.Mode(), err)
	}

	if err := p.forget(at); err != nil {
		t.Fatal(err)
	}
	if c := load(); c.CurrentContext != "" || len(c.Clusters)+len(c.Contexts)+len(c.AuthInfos) != 0 {
		t.Errorf("not forgotten as the only one: %+v", c)
	}

	writeConfig(t, users, "work", "theirs")
	if err := p.merge(at); err != nil {
		t.Fatal(err)
	}
	if c := load(); c.CurrentContext != "work" || len(c.Clusters) != 2 || len(c.Contexts) != 2 {
		t.Errorf("merged beside another context: %+v", c)
	}
	if err := p.forget(at); err != nil {
		t.Fatal(err)
	}
	if c := load(); c.CurrentContext != "work" || len(c.Clusters) != 1 || len(c.Contexts) != 1 || len(c.AuthInfos) != 1 {
		t.Errorf("not forgotten: %+v", c)
	}

	writeConfig(t, users, "skiff-test", "another instance of the same name")
	if err := p.forget(at); err != nil {
		t.Fatal(err)
	}
	if c := load(); len(c.Clusters) != 1 {
		t.Errorf("another's context was removed: %+v", c)
	}
}
