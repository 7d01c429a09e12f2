package loadtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"skiff/examples/load"
	"skiff/examples/load/loadtest"
)

// told keeps what a test is told of errors.
type told struct {
	testing.TB
	errors []string
}

func (t *told) Errorf(format string, args ...any) {
	t.errors = append(t.errors, fmt.Sprintf(format, args...))
}

func (t *told) Error(args ...any) { t.errors = append(t.errors, fmt.Sprint(args...)) }

func TestStopTellsWhatWentWrong(t *testing.T) {
	var asked atomic.Int64
	enough, failed := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Version", "1")
		switch asked.Add(1) {
		case 3:
			w.WriteHeader(http.StatusBadGateway)
		case 5:
			close(enough)
		}
	}))
	defer server.Close()
	to := &told{TB: t}
	c := loadtest.New(to)
	c.Load("requests", load.Options{Address: strings.TrimPrefix(server.URL, "http://"), Rate: 200})
	c.Load("nobody", load.Options{})
	c.Run("client", func(context.Context) error { close(failed); return errors.New("cut") })
	c.Run("at rest", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	c.WaitVersion(to, "1")
	<-enough
	<-failed
	c.Stop(to)
	all := strings.Join(to.errors, "\n")
	for _, want := range []string{"requests: failed at ", "nobody: none", "client: cut"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not told in:\n%s", want, all)
		}
	}
	if strings.Contains(all, "at rest") {
		t.Errorf("told of what was stopped: %s", all)
	}
}
