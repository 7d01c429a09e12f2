package probe

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
)

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHealthMessages(t *testing.T) {
	t.Parallel()
	for _, service := range []string{"", "orders", strings.Repeat("long", 100)} {
		var asked grpc_health_v1.HealthCheckRequest
		if err := proto.Unmarshal(healthRequest(service), &asked); err != nil || asked.Service != service {
			t.Errorf("service %q is asked for as %q, %v", service, asked.Service, err)
		}
	}
	for number, name := range grpc_health_v1.HealthCheckResponse_ServingStatus_name {
		answer := marshal(t, &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_ServingStatus(number)})
		if got, err := healthAnswer(frame(answer)); err != nil || got.String() != name {
			t.Errorf("%s is read as %s, %v", name, got, err)
		}
	}
	later := append(marshal(t, &grpc_health_v1.HealthCheckRequest{Service: "another field"}), 0x10, 1)
	later[0] = 3<<3 | 2
	if got, err := healthAnswer(frame(append(later, 0x08, 1))); err != nil || got != serving {
		t.Errorf("with fields of a later version: %s, %v", got, err)
	}
	if got := servingStatus(7).String(); got != "7" {
		t.Errorf("unknown status: %q", got)
	}
}

func FuzzHealthAnswer(f *testing.F) {
	for _, body := range []string{"", "\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x02\x08\x01", "\x01\x00\x00\x00\x02\x08\x01", "\x00\xff\xff\xff\xff\x08", "\x00\x00\x00\x00\x01\x08"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := healthAnswer(body)
		if err != nil {
			return
		}
		var want grpc_health_v1.HealthCheckResponse
		if proto.Unmarshal(body[frameHeader:], &want) == nil && servingStatus(want.Status) != got {
			t.Errorf("%q is read as %s, want %s", body, got, want.Status)
		}
	})
}

func TestGRPCTimeout(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]string{time.Second: "1S", time.Minute: "60S", 1<<31*time.Second - time.Second: "99999999S"} {
		if got := grpcTimeout(timeout); got != want {
			t.Errorf("%s is %q, want %q", timeout, got, want)
		}
	}
}

// What is not a gRPC server fails with the code that gRPC has for it.
func TestGRPCOfOtherServers(t *testing.T) {
	t.Parallel()
	grpcAnswer := func(status, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set(http.TrailerPrefix+"Grpc-Message", message)
			if status != "" {
				w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
			}
			_, _ = w.Write(frame([]byte{0x08, 1}))
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    Result
		text    string
	}{
		"web server": {http.NotFound, Failure, `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unexpected HTTP status code received from server: 404 (Not Found); content-type "text/plain; charset=utf-8"`},
		"proxy": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, Failure,
			`error: health rpc probe failed: rpc error: code = Unavailable desc = unexpected HTTP status code received from server: 503 (Service Unavailable); content-type ""`},
		"asked as kubelet": {func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.Method != http.MethodPost || r.URL.Path != "/grpc.health.v1.Health/Check" || r.UserAgent() != userAgent ||
				r.Header.Get("TE") != "trailers" || r.Header.Get("Grpc-Timeout") != "1S" || len(body) != frameHeader {
				t.Errorf("asked %s %s with %v and %q", r.Method, r.URL.Path, r.Header, body)
			}
			grpcAnswer("0", "")(w, r)
		}, Success, "service healthy"},
		"message of several words": {grpcAnswer("14", "no %E2%82%AC left"), Failure, "error: health rpc probe failed: rpc error: code = Unavailable desc = no € left"},
		"deadline of the server":   {grpcAnswer("4", "late"), Failure, "timeout: health rpc did not complete within 1s"},
		"no status":                {grpcAnswer("", ""), Failure, "error: health rpc probe failed: rpc error: code = Internal desc = the server closed the stream without a status"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(c.handler)
			server.Config.Protocols = new(http.Protocols)
			server.Config.Protocols.SetUnencryptedHTTP2(true)
			server.Start()
			defer server.Close()
			check(t, New(direct.DialContext, nil), target(t, server.Listener.Addr().String(), func(port int32) corev1.ProbeHandler {
				return corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: port}}
			}), c.want, c.text)
		})
	}
}
