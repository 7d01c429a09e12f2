package apiserver

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"skiff/orchestrator/keypair"
)

// Kubeconfig gives access to the API at server (https://host:port) as its user.
// name is that of its cluster, user and context.
func (p *PKI) Kubeconfig(name, server string) *clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	cluster := clientcmdapi.NewCluster()
	cluster.Server = server
	cluster.CertificateAuthorityData = p.ca.CertPEM
	user := clientcmdapi.NewAuthInfo()
	user.ClientCertificateData = p.client.CertPEM
	user.ClientKeyData = p.client.KeyPEM
	context := clientcmdapi.NewContext()
	context.Cluster, context.AuthInfo = name, name
	config.Clusters[name], config.AuthInfos[name], config.Contexts[name] = cluster, user, context
	config.CurrentContext = name
	return config
}

// WriteKubeconfig replaces the file at path, readable by its owner only. A
// reader sees the old file or the new one, whole.
func WriteKubeconfig(path string, config *clientcmdapi.Config) error {
	raw, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encode kubeconfig: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make directory of kubeconfig: %w", err)
	}
	return keypair.WriteFile(path, raw)
}
