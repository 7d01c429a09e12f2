package examples_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/skifftest"
)

// While it reads its file, Redis accepts connections and answers every command
// with an error: clients are to wait until it is done.
func TestRedisIsNotReadyWhileItLoads(t *testing.T) {
	t.Parallel()
	i := skifftest.New(t)
	i.Apply(t, "redis/redis.yaml")
	i.WaitRollout(t, "redis")
	service, err := i.Client.CoreV1().Services(skifftest.Namespace).Get(t.Context(), "redis", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", service.Spec.Ports[0].NodePort)

	const keys = 10000
	var fill strings.Builder
	for n := range keys {
		fmt.Fprintf(&fill, "SET key%d value\r\n", n)
	}
	answers := redisSays(t, address, fill.String(), keys)
	if last := answers[keys-1]; last != "+OK" {
		t.Fatalf("redis says %q to the last key", last)
	}
	// It looks for connections after each 1024 keys.
	i.Update(t, "redis", func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Args = []string{"--key-load-delay", "500"} // microseconds
	})
	i.WaitPods(t, "app=redis", func(pods []corev1.Pod) bool {
		return len(pods) == 1 && len(pods[0].Spec.Containers[0].Args) > 0
	})
	if got := redisSays(t, address, "PING\r\n", 1); got[0] != "+PONG" {
		t.Errorf("redis says %q to the first client after its start", got[0])
	}
}

// redisSays gives the lines with which it answers as many commands.
func redisSays(t *testing.T, address, commands string, count int) []string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	go io.WriteString(conn, commands)
	lines := bufio.NewScanner(conn)
	var all []string
	for len(all) < count && lines.Scan() {
		all = append(all, lines.Text())
	}
	if len(all) < count {
		t.Fatalf("redis answered %d of %d commands: %v", len(all), count, lines.Err())
	}
	return all
}
