package load_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"skiff/examples/load"
)

func TestRunCountsEveryRequest(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := served.Add(1)
		w.Header().Set("X-Version", "1")
		switch {
		case n%10 == 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case n%10 == 5:
			panic(http.ErrAbortHandler) // drops the connection
		}
	}))
	defer srv.Close()
	srv.Config.ErrorLog = nil
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r := load.Run(ctx, load.Options{Address: strings.TrimPrefix(srv.URL, "http://"), Rate: 1000, Fresh: 0.5}, nil)
	n := int(served.Load())
	if r.Requests() != n || n < 100 {
		t.Errorf("counted %d requests, the server %d", r.Requests(), n)
	}
	if bad, good := len(r.Failures()), r.ByVersion()["1"]; bad != n/10+(n+5)/10 || bad+good != n {
		t.Errorf("of %d requests: %d failures, %d answers", n, bad, good)
	}
	if r.Quantile(1) < r.Quantile(0.5) || r.LongestGap() <= 0 || r.LastAnswer("1").IsZero() {
		t.Errorf("longest wait %v, median %v, gap %v", r.Quantile(1), r.Quantile(0.5), r.LongestGap())
	}
}

func TestRunSeesAChangedBody(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("something else"))
	}))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r := load.Run(ctx, load.Options{Address: strings.TrimPrefix(srv.URL, "http://"), Rate: 200, Body: "hello"}, nil)
	if r.Requests() == 0 || len(r.Failures()) != r.Requests() {
		t.Errorf("%d of %d answers were refused", len(r.Failures()), r.Requests())
	}
}
