package ingress

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/yaml"

	"skiff/orchestrator/informer"
	"skiff/proxy"
	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// world is a Controller at work, on a real proxy.
type world struct {
	*testing.T
	*Controller
	client kubernetes.Interface
	board  *switchboard.Board
	dir    string
	mu     sync.Mutex
	events []string
	urls   map[string]string
}

func newWorld(t *testing.T, ports Ports) *world {
	t.Helper()
	return newWorldOver(t, func(p *proxy.Proxy) switchboard.Proxy { return p }, ports)
}

// newWorldOver has a system between the proxy and who drives it.
func newWorldOver(t *testing.T, system func(*proxy.Proxy) switchboard.Proxy, ports Ports) *world {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	p := proxy.New(proxy.Options{Log: log})
	w := &world{T: t, client: fake.NewClientset(), board: switchboard.New(system(p), log), dir: t.TempDir()}
	factory := informer.NewFactory(w.client)
	recorder := record.NewFakeRecorder(1000)
	var err error
	w.Controller, err = New(Options{
		Client: w.client, Factory: factory, Board: w.board, Nowhere: p.NewPool(), Ports: ports,
		Dir: w.dir, Instance: "test", Recorder: recorder, Log: log,
		Named: func(urls map[string]string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.urls = urls
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{p.Run, w.board.Run, w.Run} {
		running.Go(func() { _ = run(ctx) })
	}
	running.Go(func() {
		for {
			select {
			case e := <-recorder.Events:
				w.mu.Lock()
				w.events = append(w.events, e)
				w.mu.Unlock()
			case <-ctx.Done():
				return
			}
		}
	})
	factory.Start(ctx.Done())
	t.Cleanup(func() {
		stop()
		running.Wait()
		factory.Wait()
	})
	return w
}

// Run is the Controller's, which the test must not mix up with testing.T's.
func (w *world) Run(ctx context.Context) error { return w.Controller.Run(ctx) }

// service makes a Service with one port, and a server behind it that says its
// name. A mode below 0: it is not forwarded.
func (w *world) service(namespace, name string, mode proxy.Mode, ports ...corev1.ServicePort) {
	w.Helper()
	if len(ports) == 0 {
		ports = []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{Ports: ports}}
	if _, err := w.client.CoreV1().Services(namespace).Create(w.Context(), svc, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	if mode < 0 {
		return
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "%s/%s %s", namespace, name, r.RequestURI)
	}))
	w.Cleanup(server.Close)
	port := switchboard.Port{Name: strconv.Itoa(int(ports[0].Port)) + "/TCP", Mode: mode}
	port.Members = []switchboard.Member{{Member: pool.Member{ID: name, Address: server.Listener.Addr().String()}}}
	w.board.Set(w.Context(), switchboard.Service{Name: namespace + "/" + name, Ports: []switchboard.Port{port}})
}

func (w *world) ingress(text string) {
	w.Helper()
	in := &networkingv1.Ingress{}
	if err := yaml.UnmarshalStrict([]byte(text), in); err != nil {
		w.Fatal(err)
	}
	if in.Spec.IngressClassName == nil {
		class := "skiff"
		in.Spec.IngressClassName = &class
	}
	in.Namespace, in.UID = "default", "uid-of-"+in.UID
	if _, err := w.client.NetworkingV1().Ingresses("default").Create(w.Context(), in, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
}

// eventually waits for a condition, and says what it saw last where it does not come.
func (w *world) eventually(what string, done func() (string, bool)) {
	w.Helper()
	last := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var ok bool
		if last, ok = done(); ok {
			return
		}
	}
	w.Fatalf("%s: not within a minute; last seen: %s", what, last)
}

// port is where the class says that a door is, or empty.
func (w *world) port(annotation string) string {
	class, err := w.client.NetworkingV1().IngressClasses().Get(w.Context(), "skiff", metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return class.Annotations[annotation]
}

// ask sends a GET for a host and a path as they are, and gives status and body.
func (w *world) ask(host, path string) string {
	port := w.port(HTTPPortAnnotation)
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	return exchange(conn, host, path)
}

func exchange(conn net.Conn, host, path string) string {
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err.Error()
	}
	body, _ := io.ReadAll(res.Body)
	return fmt.Sprintf("%d %s", res.StatusCode, strings.TrimSpace(string(body)))
}

// says waits until a request gets an answer.
func (w *world) says(host, path, want string) {
	w.Helper()
	w.eventually(host+path+" answers "+want, func() (string, bool) {
		got := w.ask(host, path)
		return got, got == want
	})
}

// named waits until these Services have names, and no others have.
func (w *world) named(hosts map[string]string) {
	w.Helper()
	w.eventually("names", func() (string, bool) {
		want := map[string]string{}
		for of, host := range hosts {
			want[of] = "http://" + host + ":" + w.port(HTTPPortAnnotation)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		return fmt.Sprintf("%v instead of %v", w.urls, want), maps.Equal(w.urls, want)
	})
}

// shown is the certificate that a client sees which trusts the authority and
// asks for a name, or why it does not take it.
func (w *world) shown(name string, trust *x509.CertPool) (*x509.Certificate, error) {
	conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", w.port(HTTPSPortAnnotation)), &tls.Config{RootCAs: trust, ServerName: name})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// selfSigned is a certificate for a name, and its key, PEM encoded.
func selfSigned(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

func (w *world) get(name string) *networkingv1.Ingress {
	w.Helper()
	in, err := w.client.NetworkingV1().Ingresses("default").Get(w.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return in
}
