package load_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"skiff/examples/load"
)

func TestRunCountsEveryRequest(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const enough = 100
	var served atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := served.Add(1)
		if n >= enough {
			cancel()
		}
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
	r := load.Run(ctx, load.Options{Address: strings.TrimPrefix(srv.URL, "http://"), Rate: 1000, Fresh: 0.5}, nil)
	n := int(served.Load())
	if r.Requests() != n || n < enough {
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
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const enough = 5
	var served atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) >= enough {
			cancel()
		}
		w.Write([]byte("something else"))
	}))
	defer srv.Close()
	r := load.Run(ctx, load.Options{Address: strings.TrimPrefix(srv.URL, "http://"), Rate: 200, Body: "hello"}, nil)
	if r.Requests() < enough || len(r.Failures()) != r.Requests() {
		t.Errorf("%d of %d answers were refused", len(r.Failures()), r.Requests())
	}
}
