package recent

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func pod(name, version, owner string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: types.UID(name), ResourceVersion: version,
		OwnerReferences: []metav1.OwnerReference{{UID: types.UID(owner), Controller: new(true)}},
	}}
}

// view gives name:version of all, "-" behind those that are to go.
func view(t *testing.T, w *Writes[*corev1.Pod], now time.Time, cached ...*corev1.Pod) string {
	t.Helper()
	pods, err := w.View(func() ([]*corev1.Pod, error) { return cached, nil }, "rs", now)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range pods {
		text := p.Name + ":" + p.ResourceVersion
		if p.DeletionTimestamp != nil {
			text += "-"
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestCreated(t *testing.T) {
	t.Parallel()
	var w Writes[*corev1.Pod]
	w.Created(pod("a", "5", "rs"), noon)
	w.Created(pod("other", "6", "another"), noon)
	if got := view(t, &w, noon); got != "a:5" {
		t.Errorf("before the informer shows it: %q", got)
	}
	if got := view(t, &w, noon, pod("a", "7", "rs")); got != "a:7" {
		t.Errorf("once the informer shows it: %q", got)
	}
	if got := view(t, &w, noon); got != "" {
		t.Errorf("once the informer shows that it is gone: %q", got)
	}
	w.Created(pod("b", "8", "rs"), noon)
	w.Seen("b")
	if got := view(t, &w, noon); got != "" {
		t.Errorf("come and gone between two looks: %q", got)
	}
	w.Created(pod("c", "9", "rs"), noon)
	if got := view(t, &w, noon.Add(Patience)); got != "" {
		t.Errorf("never shown: %q", got)
	}
}

func TestUpdated(t *testing.T) {
	t.Parallel()
	var w Writes[*corev1.Pod]
	w.Updated(pod("a", "1", "rs"), pod("a", "2", "rs"))
	w.Updated(pod("a", "2", "rs"), pod("a", "3", "rs"))
	for _, step := range []struct{ cached, want string }{
		{"1", "a:3"}, // not caught up
		{"2", "a:3"}, // with the first only
		{"3", "a:3"},
		{"9", "a:9"}, // someone else wrote
		{"1", "a:1"}, // nothing is kept after that
	} {
		if got := view(t, &w, noon, pod("a", step.cached, "rs")); got != step.want {
			t.Errorf("the informer shows %s: %q, want %q", step.cached, got, step.want)
		}
	}
	w.Updated(pod("a", "9", "rs"), pod("a", "9", "rs"))
	if len(w.updated) != 0 {
		t.Error("an update that changed nothing is kept")
	}
}

func TestDeleted(t *testing.T) {
	t.Parallel()
	var w Writes[*corev1.Pod]
	cached := pod("a", "1", "rs")
	w.Deleted(cached, noon)
	if got := view(t, &w, noon, cached); got != "a:1-" {
		t.Errorf("before the informer shows it: %q", got)
	}
	if cached.DeletionTimestamp != nil {
		t.Error("the informer's object was changed")
	}
	if got := view(t, &w, noon.Add(Patience), cached); got != "a:1" {
		t.Errorf("not deleted after all: %q", got)
	}
	w.Created(pod("b", "2", "rs"), noon)
	w.Deleted(pod("b", "2", "rs"), noon)
	if got := view(t, &w, noon); got != "b:2-" {
		t.Errorf("created and deleted before the informer shows either: %q", got)
	}
}

func TestGoneForgetsAll(t *testing.T) {
	t.Parallel()
	var w Writes[*corev1.Pod]
	w.Created(pod("a", "1", "rs"), noon)
	w.Updated(pod("a", "1", "rs"), pod("a", "2", "rs"))
	w.Deleted(pod("a", "2", "rs"), noon)
	w.Gone("a")
	if len(w.created)+len(w.updated)+len(w.deleted) != 0 {
		t.Errorf("kept: %+v", &w)
	}
}

// The answer to a deletion may come after the informer has shown that the object
// is gone: then nothing tells again that it is.
func TestDeletionsDoNotAddUp(t *testing.T) {
	t.Parallel()
	var w Writes[*corev1.Pod]
	w.Gone("a")
	w.Deleted(pod("a", "1", "rs"), noon)
	w.Deleted(pod("b", "1", "rs"), noon.Add(Patience-1))
	w.Deleted(pod("c", "1", "rs"), noon.Add(Patience))
	if len(w.deleted) != 2 {
		t.Errorf("%d deletions are kept: %v", len(w.deleted), w.deleted)
	}
}

func TestLatest(t *testing.T) {
	t.Parallel()
	var w Writes[*corev1.Pod]
	w.Updated(pod("a", "1", "rs"), pod("a", "2", "rs"))
	got, err := w.Latest(func() (*corev1.Pod, error) { return pod("a", "1", "rs"), nil }, noon)
	if err != nil || got.ResourceVersion != "2" {
		t.Errorf("latest is %v, error %v", got, err)
	}
	absent := errors.New("not found")
	if _, err := w.Latest(func() (*corev1.Pod, error) { return nil, absent }, noon); !errors.Is(err, absent) {
		t.Errorf("error is %v", err)
	}
}
