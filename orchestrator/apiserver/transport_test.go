package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func send(ctx context.Context, t *testing.T, h http.HandlerFunc, body string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", "https://skiff.invalid/path?q=1", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return Transport(h).RoundTrip(req)
}

func TestTransportAnswersWhole(t *testing.T) {
	t.Parallel()
	res, err := send(t.Context(), t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Query().Get("q") != "1" || r.Host != "skiff.invalid" {
			t.Errorf("%q %v %v", body, err, r)
		}
		w.Header().Set("X-Test", "yes")
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Test", "too late")
		_, _ = fmt.Fprintf(w, "%s", body)
	}, "hello")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "hello" || res.StatusCode != http.StatusTeapot || res.Header.Get("X-Test") != "yes" || res.ContentLength != 5 {
		t.Errorf("%q, %v, %+v", body, err, res)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
}

func TestTransportStreams(t *testing.T) {
	t.Parallel()
	step, left := make(chan struct{}), make(chan error, 1)
	res, err := send(t.Context(), t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "one ")
		_ = http.NewResponseController(w).Flush()
		<-step
		_, _ = io.WriteString(w, "two")
		<-r.Context().Done()
		_, err := io.WriteString(w, "nobody")
		left <- err
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 4)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "one " {
		t.Errorf("%q, %v", first, err)
	}
	close(step)
	if _, err := io.ReadFull(res.Body, first[:3]); err != nil || string(first[:3]) != "two" {
		t.Errorf("%q, %v", first, err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	if err := <-left; err == nil {
		t.Error("a write after the reader left went through")
	}
}

func TestTransportCancels(t *testing.T) {
	t.Parallel()
	for _, streaming := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		entered, returned := make(chan struct{}), make(chan struct{})
		go func() {
			<-entered
			cancel()
		}()
		res, err := send(ctx, t, func(w http.ResponseWriter, r *http.Request) {
			defer close(returned)
			if streaming {
				_ = http.NewResponseController(w).Flush()
			}
			close(entered)
			<-r.Context().Done()
		}, "")
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("streaming %v: %v", streaming, err)
		}
		<-returned
	}
}

func TestTransportPanic(t *testing.T) {
	t.Parallel()
	for _, flush := range []bool{true, false} {
		res, err := send(t.Context(), t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			if flush {
				_ = http.NewResponseController(w).Flush()
			}
			panic(http.ErrAbortHandler)
		}, "")
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("flush %v: half an answer passed for a whole one: %q", flush, body)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Watches that end leave no goroutine behind. It runs alone: it counts them.
func TestTransportLeaksNothing(t *testing.T) {
	api := newTestAPI(t, false)
	client := api.proto(t).CoreV1().ConfigMaps("default")
	before := runtime.NumGoroutine()
	for i := range 20 {
		w, err := client.Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		mustCreateMaps(t, api, fmt.Sprintf("x%d", i))
		<-w.ResultChan()
		w.Stop()
		for range w.ResultChan() {
		}
	}
	deadline := time.Now().Add(time.Minute)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}
