package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// connection is the way to an API: skiff's own or, with --kubeconfig or
// --context, that of any cluster. It is the RESTClientGetter of kubectl's
// packages. What it finds out about the server is kept for one command only: a
// cache on disk would outlive the instance that it describes.
type connection struct {
	loader   clientcmd.ClientConfig
	warnings *warnings

	config    func() (*rest.Config, error)
	discovery func() (discovery.CachedDiscoveryInterface, error)
	mapper    func() (meta.RESTMapper, error)
}

func connect(rules *clientcmd.ClientConfigLoadingRules, overrides *clientcmd.ConfigOverrides, w *warnings) *connection {
	c := &connection{loader: clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides), warnings: w}
	c.config = sync.OnceValues(func() (*rest.Config, error) {
		config, err := c.loader.ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("read kubeconfig: %w", err)
		}
		config.UserAgent = "skiff/" + releaseName()
		config.WarningHandler = w
		config.QPS, config.Burst = 50, 300
		return config, nil
	})
	c.discovery = sync.OnceValues(func() (discovery.CachedDiscoveryInterface, error) {
		config, err := c.config()
		if err != nil {
			return nil, err
		}
		client, err := discovery.NewDiscoveryClientForConfig(config)
		if err != nil {
			return nil, err
		}
		return ordered{memory.NewMemCacheClient(client)}, nil
	})
	c.mapper = sync.OnceValues(func() (meta.RESTMapper, error) {
		found, err := c.discovery()
		if err != nil {
			return nil, err
		}
		mapper := restmapper.NewDeferredDiscoveryRESTMapper(found)
		return restmapper.NewShortcutExpander(mapper, found, w.Warn), nil
	})
	return c
}

// toInstance gives a connection to the instance at a place.
func toInstance(at place, namespace string, w *warnings) (*connection, error) {
	path := at.kubeconfig()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, notRunning(at.name)
	}
	overrides := &clientcmd.ConfigOverrides{}
	overrides.Context.Namespace = namespace
	return connect(&clientcmd.ClientConfigLoadingRules{ExplicitPath: path}, overrides, w), nil
}

// toCluster gives a connection by a kubeconfig of the user's own.
func toCluster(path, contextName, namespace string, w *warnings) *connection {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	overrides := &clientcmd.ConfigOverrides{CurrentContext: contextName}
	overrides.Context.Namespace = namespace
	return connect(rules, overrides, w)
}

// ordered lists kinds in the order of the server's discovery document, and with
// them what "get all" prints. The client that it wraps gives all groups at once,
// but in the order of a Go map.
type ordered struct {
	discovery.CachedDiscoveryInterface
}

func (o ordered) ServerGroupsAndResources() ([]*metav1.APIGroup, []*metav1.APIResourceList, error) {
	return discovery.ServerGroupsAndResources(o)
}

func (c *connection) ToRESTConfig() (*rest.Config, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	return rest.CopyConfig(config), nil
}

func (c *connection) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return c.discovery()
}

func (c *connection) ToRESTMapper() (meta.RESTMapper, error) { return c.mapper() }

func (c *connection) ToRawKubeConfigLoader() clientcmd.ClientConfig { return c.loader }

func (c *connection) clientset() (kubernetes.Interface, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// namespace is the one to act in; explicit says that the user named it.
func (c *connection) namespace() (name string, explicit bool, err error) {
	return c.loader.Namespace()
}

func (c *connection) builder() *resource.Builder { return resource.NewBuilder(c) }
