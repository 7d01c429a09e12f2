package docker

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"skiff/runtime/container"
)

func TestReadPull(t *testing.T) {
	t.Parallel()
	const start = `{"status":"Pulling from library/x","id":"1"}
{"status":"Pulling fs layer","progressDetail":{},"id":"a"}
{"status":"Downloading","progressDetail":{"current":10,"total":100},"id":"a"}
{"status":"Downloading","progressDetail":{"current":5,"total":50},"id":"b"}
{"status":"Download complete","progressDetail":{},"id":"a"}
{"status":"Extracting","progressDetail":{"current":1,"total":100},"id":"a"}
`
	var done, total int64
	calls := 0
	note := func(d, n int64) { done, total, calls = d, n, calls+1 }
	if err := readPull(strings.NewReader(start+`{"status":"Status: Downloaded newer image"}`), note); err != nil {
		t.Fatal(err)
	}
	if done != 105 || total != 150 || calls != 3 {
		t.Errorf("progress: %d of %d after %d calls", done, total, calls)
	}
	err := readPull(strings.NewReader(start+`{"errorDetail":{"message":"toomanyrequests"},"error":"toomanyrequests"}`), note)
	if err == nil || err.Error() != "toomanyrequests" {
		t.Errorf("error in the report: %v", err)
	}
	if err := readPull(strings.NewReader(`{"status":`), note); err == nil {
		t.Error("no error for a report that was cut off")
	}
	if err := readPull(iotest.ErrReader(errors.New("lost")), note); err == nil {
		t.Error("no error for a lost connection")
	}
}

func TestPullFails(t *testing.T) {
	t.Parallel()
	e := newInstance(t, "test-pull", "uid")
	_, err := e.Pull(t.Context(), "127.0.0.1:1/nothing:1", container.Credential{}, func(int64, int64) {})
	if err == nil || !strings.HasPrefix(err.Error(), `pull image "127.0.0.1:1/nothing:1": no answer from its registry: `) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Pull from nowhere = %v", err)
	}
	if _, err := e.Pull(t.Context(), "Not An Image", container.Credential{}, func(int64, int64) {}); err == nil {
		t.Error("Pull of a name that is none succeeded")
	}
}
