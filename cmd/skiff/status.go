package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/podutils"
)

func (p *program) status() *cobra.Command {
	return spec{
		name:     "status",
		short:    "tell whether skiff runs, where, and what it runs",
		examples: examples("skiff status", "skiff --name test status"),
		run:      p.runStatus,
	}.command()
}

// leastRoom is what a change may take on the disk.
const leastRoom = 1 << 20

func (p *program) runStatus(c *call) error {
	at, err := locate(c)
	if err != nil {
		return err
	}
	pid, err := at.process()
	if err != nil {
		return err
	}
	conn, err := toInstance(at, "", p.warnings)
	if err != nil {
		return err
	}
	client, err := conn.clientset()
	if err != nil {
		return err
	}
	config, err := conn.ToRESTConfig()
	if err != nil {
		return err
	}
	server, err := client.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	data := at.dir
	if free, known := room(at.dir); known && free < leastRoom {
		data += " (its disk is full: what is not stored is refused until there is room)"
	}
	out := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	printf(out, "Instance:\t%s\nAPI:\t%s\nProcess:\t%d\nVersion:\t%s\nData:\t%s\n", at.name, config.Host, pid, server.GitVersion, data)
	if err := describeLoad(c, client, out); err != nil {
		return err
	}
	return out.Flush()
}

func describeLoad(c *call, client kubernetes.Interface, out *tabwriter.Writer) error {
	nodes, err := client.CoreV1().Nodes().List(c.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, node := range nodes.Items {
		printf(out, "Engine:\t%s on %s\n", node.Status.NodeInfo.ContainerRuntimeVersion, node.Status.NodeInfo.OSImage)
	}
	deployments, err := client.AppsV1().Deployments("").List(c.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	available := 0
	for _, d := range deployments.Items {
		if d.Spec.Replicas != nil && d.Status.AvailableReplicas >= *d.Spec.Replicas {
			available++
		}
	}
	printf(out, "Deployments:\t%d, %d of them with all replicas available\n", len(deployments.Items), available)
	pods, err := client.CoreV1().Pods("").List(c.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	printf(out, "Pods:\t%s\n", countPods(pods.Items))
	return nil
}

// countPods counts Pods by their phase. That of one whose containers all start
// again is Running, too, so that it is said which are not ready.
func countPods(pods []corev1.Pod) string {
	counts := map[string]int{}
	for _, pod := range pods {
		word := strings.ToLower(string(pod.Status.Phase))
		if pod.Status.Phase == corev1.PodRunning && !podutils.IsPodReady(&pod) {
			word = "not ready"
		}
		counts[word]++
	}
	words := []string{fmt.Sprint(len(pods))}
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%d %s", counts[word], word))
	}
	return strings.Join(words, ", ")
}
