package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"skiff/orchestrator"
)

// instance runs skiff's commands on an instance of this program's own.
type instance struct {
	skiff, name, dataDir string
}

func (i instance) do(ctx context.Context, in io.Reader, args ...string) error {
	cmd := exec.CommandContext(ctx, i.skiff, append([]string{"--name", i.name, "--data-dir", i.dataDir}, args...)...)
	cmd.Stdin = in
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("skiff %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

func (i instance) client() (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", orchestrator.PathsIn(i.dataDir).Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return kubernetes.NewForConfig(config)
}

// replicas of the application, which is deployed under these names.
var names = []string{"soak-1", "soak-2", "soak-3"}

// address is where a port of a Service is reached.
type address struct{ http, tcp string }

// deploy gives two addresses of each Service: of the host's proxy, and of the
// gateway, which the host reaches by the bridge of the instance's network.
func (i instance) deploy(ctx context.Context, manifest string) ([]address, error) {
	text, err := os.ReadFile(manifest)
	if err != nil {
		return nil, err
	}
	client, err := i.client()
	if err != nil {
		return nil, err
	}
	var out []address
	for _, name := range names {
		renamed := strings.NewReplacer("name: protocols", "name: "+name, "app: protocols", "app: "+name).Replace(string(text))
		if err := i.do(ctx, strings.NewReader(renamed), "apply", "-f", "-"); err != nil {
			return nil, err
		}
		svc, err := client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("read service %s: %w", name, err)
		}
		var node, cluster address
		for _, p := range svc.Spec.Ports {
			onNode := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(p.NodePort)))
			onCluster := net.JoinHostPort(svc.Spec.ClusterIP, strconv.Itoa(int(p.Port)))
			switch p.Name {
			case "http":
				node.http, cluster.http = onNode, onCluster
			case "tcp":
				node.tcp, cluster.tcp = onNode, onCluster
			}
		}
		out = append(out, node, cluster)
	}
	return out, i.wait(ctx)
}

// replaceAll replaces all Pods of all Services, all at once.
func (i instance) replaceAll(ctx context.Context) error {
	for _, name := range names {
		if err := i.do(ctx, nil, "rollout", "restart", "deployment/"+name); err != nil {
			return err
		}
	}
	return i.wait(ctx)
}

func (i instance) wait(ctx context.Context) error {
	for _, name := range names {
		if err := i.do(ctx, nil, "rollout", "status", "deployment/"+name); err != nil {
			return err
		}
	}
	return nil
}
