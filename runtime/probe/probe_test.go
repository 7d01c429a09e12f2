package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var direct net.Dialer

// target aims at a server of the test.
func target(t *testing.T, address string, handler func(port int32) corev1.ProbeHandler) Target {
	t.Helper()
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return Target{Kind: Readiness, Host: host, Probe: &corev1.Probe{TimeoutSeconds: 1, ProbeHandler: handler(int32(port))}}
}

func httpGet(path string, headers ...corev1.HTTPHeader) func(int32) corev1.ProbeHandler {
	return func(port int32) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(port), HTTPHeaders: headers}}
	}
}

func check(t *testing.T, p *Prober, target Target, want Result, text string) {
	t.Helper()
	got, said := p.Try(t.Context(), target)
	if got != want || said != text {
		t.Errorf("got %s, %q, want %s, %q", got, said, want, text)
	}
}

func TestHTTP(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // probes know no proxy
	mux := http.NewServeMux()
	for _, code := range []int{200, 204, 299, 304, 400, 500, 503} {
		mux.HandleFunc(fmt.Sprintf("/%d", code), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/200", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://example.invalid/")
		w.WriteHeader(http.StatusFound)
		fmt.Fprint(w, "moved")
	})
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 1<<20)) })
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "x")
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Host, " ", r.Header["User-Agent"], r.Header["Accept"], r.Header["X-Own"], r.Header["Accept-Encoding"], " ", r.Close, " ", r.URL.RawQuery)
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	address := s.Listener.Addr().String()
	p := New(direct.DialContext, nil)
	header := func(name, value string) corev1.HTTPHeader { return corev1.HTTPHeader{Name: name, Value: value} }
	for _, c := range []struct {
		name    string
		path    string
		headers []corev1.HTTPHeader
		want    Result
		text    string
	}{
		{"200", "/200", nil, Success, ""},
		{"no content", "/204", nil, Success, ""},
		{"299", "/299", nil, Success, ""},
		{"304", "/304", nil, Warning, "Probe terminated redirects, Response body: "},
		{"400", "/400", nil, Failure, "HTTP probe failed with statuscode: 400"},
		{"500", "/500", nil, Failure, "HTTP probe failed with statuscode: 500"},
		{"503", "/503", nil, Failure, "HTTP probe failed with statuscode: 503"},
		{"path without a slash", "200", nil, Success, ""},
		{"redirect within the Pod", "/here", nil, Success, ""},
		{"redirect elsewhere", "/away", nil, Warning, "Probe terminated redirects, Response body: moved"},
		{"redirects without end", "/round", nil, Failure, `Get "/round": stopped after 10 redirects`},
		{"body is cut", "/long", nil, Success, strings.Repeat("x", maxBody)},
		{"timeout", "/hang", nil, Failure, `Get "http://` + address + `/hang": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`},
		{"answer that breaks off", "/cut", nil, Failure, "unexpected EOF"},
		{"own words", "/headers?a=b", nil, Success, address + " [kube-probe/1.37] [*/*] [] [] true a=b"},
		{"given headers", "/headers", []corev1.HTTPHeader{header("Host", "example.com"), header("X-Own", "1"), header("x-own", "2"), header("user-agent", "me"), header("Accept", "text/plain")},
			Success, "example.com [me] [text/plain] [1 2] [] true "},
		{"emptied headers", "/headers", []corev1.HTTPHeader{header("User-Agent", ""), header("Accept", "")}, Success, address + " [] [] [] [] true "},
	} {
		t.Run(c.name, func(t *testing.T) {
			check(t, p, target(t, address, httpGet(c.path, c.headers...)), c.want, c.text)
		})
	}
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	p := New(direct.DialContext, nil)
	tls := target(t, s.Listener.Addr().String(), httpGet("/"))
	tls.Probe.HTTPGet.Scheme = corev1.URISchemeHTTPS
	check(t, p, tls, Success, "")
	tls.Probe.HTTPGet.Scheme = corev1.URISchemeHTTP
	check(t, p, tls, Failure, "HTTP probe failed with statuscode: 400")
}

// closed is an address where nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	address := closed(t)
	p := New(direct.DialContext, nil)
	check(t, p, target(t, address, httpGet("/healthz")), Failure,
		`Get "http://`+address+`/healthz": dial tcp `+address+`: connect: connection refused`)
	check(t, p, target(t, address, func(port int32) corev1.ProbeHandler {
		return corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}}
	}), Failure, "dial tcp "+address+": connect: connection refused")
	check(t, p, target(t, address, func(port int32) corev1.ProbeHandler {
		return corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: port}}
	}), Failure, `error: failed to connect service at "`+address+`": dial tcp `+address+`: connect: connection refused`)
}

func TestPorts(t *testing.T) {
	t.Parallel()
	var asked string
	p := New(func(_ context.Context, _, address string) (net.Conn, error) {
		asked = address
		here, there := net.Pipe()
		there.Close()
		return here, nil
	}, nil)
	for _, c := range []struct {
		name string
		host string
		port intstr.IntOrString
		want Result
		text string
	}{
		{"number", "", intstr.FromInt32(81), Success, "10.0.0.1:81"},
		{"name", "", intstr.FromString("web"), Success, "10.0.0.1:8080"},
		{"number in words", "", intstr.FromString("82"), Success, "10.0.0.1:82"},
		{"host", "10.9.9.9", intstr.FromInt32(81), Success, "10.9.9.9:81"},
		{"unknown name", "", intstr.FromString("other"), Unknown, `the container has no port "other"`},
		{"too high", "", intstr.FromInt32(70000), Unknown, `the container has no port "70000"`},
		{"zero", "", intstr.FromInt32(0), Unknown, `the container has no port "0"`},
	} {
		asked = ""
		got, text := p.Try(t.Context(), Target{
			Host:  "10.0.0.1",
			Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}},
			Probe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: c.host, Port: c.port}}},
		})
		if got != c.want || asked+text != c.text {
			t.Errorf("%s: %s, %q, want %s, %q", c.name, got, asked+text, c.want, c.text)
		}
	}
	if got, text := p.Try(t.Context(), Target{Probe: &corev1.Probe{}}); got != Unknown || text == "" {
		t.Errorf("probe without a handler: %s, %q", got, text)
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	p := New(nil, func(ctx context.Context, id string, cmd []string) ([]byte, int, error) {
		switch cmd[0] {
		case "sleep":
			<-ctx.Done()
			return nil, 0, fmt.Errorf("exec: %w", ctx.Err())
		case "fail":
			return []byte("no " + id), 3, nil
		}
		return []byte("fine"), 0, nil
	})
	run := func(cmd ...string) Target {
		return Target{ContainerID: "c1", Probe: &corev1.Probe{TimeoutSeconds: 1, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: cmd}}}}
	}
	check(t, p, run("true"), Success, "fine")
	check(t, p, run("fail"), Failure, "no c1")
	check(t, p, run("sleep", "10"), Failure, `command "sleep 10" timed out after 1s`)
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, states := grpc.NewServer(), health.NewServer()
	grpc_health_v1.RegisterHealthServer(s, states)
	states.SetServingStatus("sick", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	go s.Serve(l)
	defer s.Stop()
	p := New(direct.DialContext, nil)
	ask := func(address string, service *string) Target {
		return target(t, address, func(port int32) corev1.ProbeHandler {
			return corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: port, Service: service}}
		})
	}
	sick, unknown := "sick", "unknown"
	check(t, p, ask(l.Addr().String(), nil), Success, "service healthy")
	check(t, p, ask(l.Addr().String(), &sick), Failure, `service unhealthy (responded with "NOT_SERVING")`)
	check(t, p, ask(l.Addr().String(), &unknown), Failure, "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service")

	bare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain := grpc.NewServer()
	go plain.Serve(bare)
	defer plain.Stop()
	check(t, p, ask(bare.Addr().String(), nil), Failure,
		"error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service grpc.health.v1.Health")

	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	check(t, p, ask(silent.Addr().String(), nil), Failure, "timeout: health rpc did not complete within 1s")

	lost := New(func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, nil)
	check(t, lost, ask("127.0.0.1:80", nil), Failure, `timeout: failed to connect service "127.0.0.1:80" within 1s: context deadline exceeded`)
}

func TestTCPTimeout(t *testing.T) {
	t.Parallel()
	p := New(func(ctx context.Context, network, address string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, nil)
	began := time.Now()
	check(t, p, target(t, "127.0.0.1:80", func(port int32) corev1.ProbeHandler {
		return corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}}
	}), Failure, "context deadline exceeded")
	if took := time.Since(began); took < time.Second || took > 20*time.Second {
		t.Errorf("took %s, want the timeout of 1s", took)
	}
}
