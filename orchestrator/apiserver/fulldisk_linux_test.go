package apiserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/disktest"
)

// TestFullDisk: a write for which there is no room is refused with words about
// where, reads go on, and so do writes once there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := disktest.New(t, 4<<20)
	api := newTestAPIIn(t, disk.Dir, false)
	object := func(n int) string {
		return fmt.Sprintf(`{"metadata":{"name":"written-%d"},"data":{"a":%q}}`, n, strings.Repeat("x", 500_000))
	}
	disk.Fill(t)
	var res *http.Response
	var body string
	written := 0
	for ; written < 100; written++ { // what is free within the file still takes some
		if res, body = api.do(t, "POST", configMaps, object(written)); res.StatusCode != http.StatusCreated {
			break
		}
	}
	if written == 100 {
		t.Fatal("the disk never fills up")
	}
	status := parseStatus(t, body)
	if res.StatusCode != http.StatusInsufficientStorage || status.Code != http.StatusInsufficientStorage || status.Reason != metav1.StatusReasonInternalError {
		t.Errorf("%d %+v", res.StatusCode, status)
	}
	for _, words := range []string{"disk full", disk.Dir, "nothing was changed; make room there and try again"} {
		if !strings.Contains(status.Message, words) {
			t.Errorf("message %q has no %q", status.Message, words)
		}
	}
	listed := func() int {
		res, body := api.do(t, "GET", configMaps, "")
		if res.StatusCode != http.StatusOK {
			t.Errorf("list: %s", body)
		}
		return strings.Count(body, `"name":"written-`)
	}
	if n := listed(); n != written {
		t.Errorf("%d objects, %d were accepted", n, written)
	}
	disk.Free(t)
	if res, body := api.do(t, "POST", configMaps, object(written)); res.StatusCode != http.StatusCreated {
		t.Errorf("with room again: %.300s", body)
	}
	if n := listed(); n != written+1 {
		t.Errorf("%d objects, want %d", n, written+1)
	}
}
