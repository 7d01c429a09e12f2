package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/examples/load"
	"skiff/examples/load/loadtest"
)

// expose gives the addresses, on the host and inside, of another Service of the
// example, which is forwarded as its port's name says.
func (i *instance) expose(t *testing.T, name, portName string) (host, inside string) {
	t.Helper()
	svc := i.serve(t, corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"},
			Ports:    []corev1.ServicePort{{Name: portName, Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	})
	return onHost(svc), net.JoinHostPort(svc.Spec.ClusterIP, "80")
}

// serve makes a Service that is reached from the host.
func (i *instance) serve(t *testing.T, svc corev1.Service) *corev1.Service {
	t.Helper()
	svc.Spec.Type = corev1.ServiceTypeNodePort
	made, err := i.api(t).Client.CoreV1().Services("default").Create(t.Context(), &svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// onHost is where the first port of a Service is reached.
func onHost(svc *corev1.Service) string {
	return fmt.Sprintf("127.0.0.1:%d", svc.Spec.Ports[0].NodePort)
}

const doorManifest = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: door}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}`

// door gives the address at which an Ingress leads every request to the example.
func (i *instance) door(t *testing.T) string {
	t.Helper()
	must(t, i.skiff, "create", "-f", i.write(t, "door.yaml", doorManifest))
	address := i.doorAt(t)
	i.answers(t, address)
	return address
}

// doorAt is where the Ingress door is served.
func (i *instance) doorAt(t *testing.T) (address string) {
	t.Helper()
	eventually(t, func() error {
		in, err := i.api(t).Client.NetworkingV1().Ingresses("default").Get(t.Context(), "door", metav1.GetOptions{})
		if err != nil {
			return err
		}
		at := in.Status.LoadBalancer.Ingress
		if len(at) == 0 {
			return errors.New("the Ingress has no address")
		}
		address = fmt.Sprintf("%s:%d", at[0].IP, at[0].Ports[0].Port)
		return nil
	})
	return address
}

// use begins with everything that an upgrade must not hurt.
func (i *instance) use(t *testing.T, web, tcp, inside, door string) *loadtest.Clients {
	c := loadtest.New(t)
	c.Load("kept", load.Options{Address: web, Rate: 60, Conns: 16})
	c.Load("fresh", load.Options{Address: web, Rate: 60, Fresh: 1})
	c.Load("bodies", load.Options{Address: web, Path: "/echo", Body: strings.Repeat("0123456789abcdef", 1024), Rate: 20, Conns: 4})
	c.Load("slow", load.Options{Address: web, Path: "/slow?d=2s", Body: "slow", Rate: 2, Conns: 8})
	c.Load("TCP", load.Options{Address: tcp, Rate: 40, Fresh: 1})
	c.Load("inside", load.Options{Address: inside, Rate: 40, Fresh: 0.5, Conns: 4})
	c.Load("Ingress", load.Options{Address: door, Rate: 40, Fresh: 0.5, Conns: 4})
	client := i.api(t).Client
	c.Run("API", func(ctx context.Context) error {
		for n := 0; ctx.Err() == nil; n++ {
			cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("written-%d", n)}}
			if _, err := client.CoreV1().ConfigMaps("default").Create(ctx, cm, metav1.CreateOptions{}); err != nil {
				return err
			}
			if _, err := client.CoreV1().ConfigMaps("default").Get(ctx, cm.Name, metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	return c
}

// chat opens a WebSocket and talks on it. say fails once it has ended.
func chat(t *testing.T, address string) (say func(string) error) {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+address+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func(text string) error {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		failed := conn.WriteMessage(websocket.TextMessage, []byte(text))
		_, got, err := conn.ReadMessage()
		switch {
		case err != nil: // a goodbye that has arrived makes the writing fail, too
			return err
		case failed != nil:
			return failed
		case !strings.HasSuffix(string(got), " "+text):
			return fmt.Errorf("said %q, heard %q", text, got)
		}
		return nil
	}
}

// hold keeps one connection and asks on it.
func hold(t *testing.T, address string) (ask func() error, end func()) {
	t.Helper()
	transport := &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}
	var dials int
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; dials > 1 {
			return nil, errors.New("the connection was closed")
		}
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	ask = func() error {
		answer, err := (&http.Client{Transport: transport, Timeout: patience}).Get("http://" + address)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	return ask, transport.CloseIdleConnections
}
