package godemo2_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/examples/load"
	"skiff/orchestrator/skifftest"
)

const (
	api = "go-demo-2-api"
	db  = "go-demo-2-db"
)

// The API and its database are both updated, there and back, while people are
// written through the API: no request fails, and all who were acknowledged are
// in the database.
func TestBothPartsAreUpdatedUnderLoad(t *testing.T) {
	t.Parallel()
	i := skifftest.New(t)
	i.Apply(t, "go-demo-2-db.yml")
	i.Apply(t, "go-demo-2-api.yml")
	i.WaitRollout(t, db)
	i.WaitRollout(t, api)
	svc, err := i.Client.CoreV1().Services(skifftest.Namespace).Get(t.Context(), api, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", svc.Spec.Ports[0].NodePort)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	results := make(chan *load.Result, 1)
	go func() {
		results <- load.Run(ctx, load.Options{Address: address, Path: "/demo/person", Body: "Ada Lovelace", Rate: 100, Fresh: 0.5, Conns: 16}, nil)
	}()
	for _, release := range []string{"2", "1"} {
		update(t, i, api, "skiff-example/go-demo-2:"+release)
		update(t, i, db, map[string]string{"1": "mongo:3.3", "2": "mongo:3.5"}[release])
	}
	cancel()
	r := <-results

	for _, s := range r.Failures() {
		t.Errorf("failed at %s after %v: %v", s.Due.Format("15:04:05.000"), s.Wait, s.Err)
	}
	by := r.ByVersion()
	if by["1"] == 0 || by["2"] == 0 || len(by) != 2 {
		t.Errorf("answers by release: %v, want some of both", by)
	}
	if got, want := get(t, address, "/demo/person"), fmt.Sprint(r.Requests()); got != want {
		t.Errorf("%s people in the database, %s were acknowledged", got, want)
	}
	if got := get(t, address, "/demo/hello"); got != "hello, release 1!" {
		t.Errorf("release 1 says %q", got)
	}
	t.Logf("%d requests, longest wait %v, by release %v", r.Requests(), r.Quantile(1), by)
}

func update(t *testing.T, i *skifftest.Instance, name, image string) {
	t.Helper()
	i.Update(t, name, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = image })
	i.WaitRollout(t, name)
}

func get(t *testing.T, address, path string) string {
	t.Helper()
	res, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}
