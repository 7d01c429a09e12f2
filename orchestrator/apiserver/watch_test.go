package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

func startWatch(t *testing.T, api *testAPI, contentType string, options metav1.ListOptions) watch.Interface {
	t.Helper()
	w, err := api.typed(t, contentType).CoreV1().ConfigMaps("default").Watch(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

func nextEvents(t *testing.T, w watch.Interface, n int) (told []string) {
	t.Helper()
	for range n {
		event, open := <-w.ResultChan()
		if !open {
			t.Fatalf("watch ended after %v", told)
		}
		switch obj := event.Object.(type) {
		case *corev1.ConfigMap:
			told = append(told, strings.TrimSpace(string(event.Type)+" "+obj.Name))
		default:
			told = append(told, string(event.Type)+" "+apierrors.FromObject(obj).Error())
		}
	}
	return told
}

func TestWatch(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		for _, contentType := range []string{runtime.ContentTypeJSON, runtime.ContentTypeProtobuf} {
			client := api.proto(t).CoreV1().ConfigMaps("default")
			existing := mustCreateMaps(t, api, "a")
			anew := startWatch(t, api, contentType, metav1.ListOptions{})
			since := startWatch(t, api, contentType, metav1.ListOptions{ResourceVersion: existing.ResourceVersion})
			whole := startWatch(t, api, contentType, metav1.ListOptions{
				SendInitialEvents: new(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
			})
			selected := startWatch(t, api, contentType, metav1.ListOptions{ResourceVersion: existing.ResourceVersion, LabelSelector: "in"})
			byName := startWatch(t, api, contentType, metav1.ListOptions{FieldSelector: "metadata.name=b"})
			mustCreateMaps(t, api, "b")
			for _, labels := range []map[string]string{{"in": ""}, {"in": "still"}, {"out": ""}} {
				cm := configMap("b")
				cm.Labels = labels
				if _, err := client.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"b", "a"} {
				if err := client.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			changes := []string{"ADDED b", "MODIFIED b", "MODIFIED b", "MODIFIED b", "DELETED b", "DELETED a"}
			for name, row := range map[string]struct {
				watch watch.Interface
				want  []string
			}{
				"anew":     {anew, append([]string{"ADDED a"}, changes...)},
				"since":    {since, changes},
				"whole":    {whole, append([]string{"ADDED a", "BOOKMARK"}, changes...)},
				"selected": {selected, []string{"ADDED b", "MODIFIED b", "DELETED b"}},
				"by name":  {byName, changes[:5]},
			} {
				if diff := cmp.Diff(row.want, nextEvents(t, row.watch, len(row.want))); diff != "" {
					t.Errorf("%s %s (-want +got):\n%s", contentType, name, diff)
				}
			}
		}
	})
}

func TestInitialEventsBookmark(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		created := mustCreateMaps(t, api, "a")
		for _, contentType := range []string{runtime.ContentTypeJSON, runtime.ContentTypeProtobuf} {
			w := startWatch(t, api, contentType, metav1.ListOptions{
				SendInitialEvents: new(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
			})
			nextEvents(t, w, 1)
			mark := <-w.ResultChan()
			cm := mark.Object.(*corev1.ConfigMap)
			if mark.Type != watch.Bookmark || cm.Annotations[metav1.InitialEventsAnnotationKey] != "true" || cm.ResourceVersion != created.ResourceVersion {
				t.Errorf("bookmark %+v", mark)
			}
		}
	})
}

// A deleted object is told of with its last content and the version of its end.
func TestWatchDeletedObject(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	client := api.proto(t).CoreV1().ConfigMaps("default")
	created, err := client.Create(t.Context(), configMap("a", "k", "v"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := startWatch(t, api, runtime.ContentTypeJSON, metav1.ListOptions{ResourceVersion: created.ResourceVersion})
	if err := client.Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	event := <-w.ResultChan()
	cm := event.Object.(*corev1.ConfigMap)
	if cm.Data["k"] != "v" || cm.ResourceVersion == created.ResourceVersion || cm.UID != created.UID {
		t.Errorf("%+v", cm)
	}
}

func TestWatchExpired(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		forget(t, api)
		w := startWatch(t, api, runtime.ContentTypeProtobuf, metav1.ListOptions{ResourceVersion: "2"})
		event := <-w.ResultChan()
		if err := apierrors.FromObject(event.Object); event.Type != watch.Error || !apierrors.IsResourceExpired(err) {
			t.Errorf("%v: %v", event.Type, err)
		}
		if _, open := <-w.ResultChan(); open {
			t.Error("the watch goes on")
		}
	})
}

// A watch with a time limit ends by itself, with a bookmark from where to go on.
func TestWatchTimeout(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		w := startWatch(t, api, runtime.ContentTypeJSON, metav1.ListOptions{ResourceVersion: "2", TimeoutSeconds: new(int64(1)), AllowWatchBookmarks: true})
		event := <-w.ResultChan()
		if event.Type != watch.Bookmark || event.Object.(*corev1.ConfigMap).ResourceVersion != formatRevision(api.store.Revision()) {
			t.Errorf("%+v", event)
		}
		if event, open := <-w.ResultChan(); open {
			t.Errorf("the watch goes on with %+v", event)
		}
	})
}

func TestWatchTable(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, true)
	mustCreateMaps(t, api, "a")
	transport, err := rest.TransportFor(api.config)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", api.config.Host+configMaps+"?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(body)), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"kind":"Table"`) || !strings.Contains(lines[0], `"cells":["a",`) || !strings.HasPrefix(lines[1], `{"type":"BOOKMARK"`) {
		t.Errorf("%d lines: %s", len(lines), body)
	}
}

// When the server ends, so do its watches, and Run waits for them.
func TestRunEndsWatches(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t, false)
	second := New(Options{Store: api.store, Resources: testResources(), Log: api.log})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- second.Run(ctx) }()
	client := &testAPI{Server: second, config: &rest.Config{Host: "https://skiff.invalid", Transport: Transport(second)}}
	w := startWatch(t, client, runtime.ContentTypeJSON, metav1.ListOptions{})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if event, open := <-w.ResultChan(); open {
		t.Errorf("the watch goes on with %+v", event)
	}
	if _, err := client.proto(t).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("request after the end: %v", err)
	}
}

// The time that a client has to take an event is over long before the next one
// happens; that must not end the watch.
func TestQuietWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newExchange(func() { t.Error("the request was ended") })
		if err := w.FlushError(); err != nil {
			t.Fatal(err)
		}
		res := w.response(&http.Request{})
		for _, event := range []string{"first", "second"} {
			go func() {
				_ = w.SetWriteDeadline(time.Now().Add(defaultWriteTimeout))
				if _, err := w.Write([]byte(event)); err != nil {
					t.Errorf("write the %s event: %v", event, err)
				}
			}()
			got := make([]byte, len(event))
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != event {
				t.Fatalf("read %q, %v, want %s", got, err, event)
			}
			time.Sleep(2 * defaultWriteTimeout) // in the bubble's time
		}
	})
}

// A client that stops reading is cut off and holds nothing.
func TestSlowWatcher(t *testing.T) {
	t.Parallel()
	w := newExchange(func() {})
	if err := w.FlushError(); err != nil {
		t.Fatal(err)
	}
	if err := w.SetWriteDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("nobody reads this")); err == nil {
		t.Error("the write went through")
	}
	res := w.response(&http.Request{})
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the reader got a whole answer")
	}
	if err := res.Body.Close(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// A watch without events lives longer than a write may take, also over HTTP/2.
func TestIdleWatchLives(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, api *testAPI) {
		api.writeTimeout = 50 * time.Millisecond
		w := startWatch(t, api, runtime.ContentTypeJSON, metav1.ListOptions{})
		mustCreateMaps(t, api, "a")
		nextEvents(t, w, 1)
		<-time.After(4 * api.writeTimeout)
		mustCreateMaps(t, api, "b")
		if got := nextEvents(t, w, 1); got[0] != "ADDED b" {
			t.Errorf("%v", got)
		}
	})
}

// Over a real connection, HTTP/1.1 and HTTP/2, a client that stops reading its
// watch is cut off.
func TestSlowClientIsCutOff(t *testing.T) {
	t.Parallel()
	for _, protocols := range [][]string{{"http/1.1"}, {"h2"}} {
		api := newTestAPI(t, true)
		api.writeTimeout = 50 * time.Millisecond
		config := rest.CopyConfig(api.config)
		config.NextProtos = protocols
		transport, err := rest.TransportFor(config)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), "GET", config.Host+configMaps+"?watch=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if want := "HTTP/" + map[string]string{"http/1.1": "1.1", "h2": "2.0"}[protocols[0]]; res.Proto != want {
			t.Errorf("%s, want %s", res.Proto, want)
		}
		for i := 0; watchesOf(api) > 0; i++ {
			if i == 200 {
				t.Fatal("200 MB went to nobody")
			}
			big := fmt.Sprintf(`{"metadata":{"name":"x%d"},"data":{"x":"%s"}}`, i, strings.Repeat("x", 1<<20))
			if res, body := api.do(t, "POST", configMaps, big); res.StatusCode != http.StatusCreated {
				t.Fatal(body)
			}
		}
		_ = res.Body.Close()
	}
}

func watchesOf(api *testAPI) int {
	api.mu.Lock()
	defer api.mu.Unlock()
	return len(api.streams)
}
