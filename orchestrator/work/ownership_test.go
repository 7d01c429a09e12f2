package work

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// TestOwnership: one dependent that is gone, or cannot be written, does not keep
// the owner from the others.
func TestOwnership(t *testing.T) {
	t.Parallel()
	kind := appsv1.SchemeGroupVersion.WithKind("ReplicaSet")
	set := func(uid types.UID) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: uid}}
	}
	pod := func(name, app string, owner metav1.Object) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": app}}}
		if owner != nil {
			p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, kind)}
		}
		return p
	}
	owner, deleted := set("1"), set("1")
	deleted.DeletionTimestamp = &metav1.Time{}
	all := []*corev1.Pod{
		pod("own", "web", owner), pod("foreign", "web", set("2")), pod("other", "api", nil), pod("bad", "web", nil),
		pod("gone", "web", nil), pod("stuck", "api", owner), pod("stranger", "api", owner), pod("orphan", "web", nil),
	}
	gone := apierrors.NewNotFound(corev1.Resource("replicasets"), "web")
	for name, test := range map[string]struct {
		owner, fresh *appsv1.ReplicaSet
		freshErr     error
		own, adopted []string
		also         string // errors besides that of the stuck Pod
	}{
		"wanted":       {owner: owner, fresh: owner, own: []string{"own", "orphan"}, adopted: []string{"orphan"}},
		"being ended":  {owner: deleted, fresh: owner, own: []string{"own"}},
		"ended since":  {owner: owner, fresh: deleted, own: []string{"own"}},
		"replaced":     {owner: owner, fresh: set("2"), own: []string{"own"}},
		"gone":         {owner: owner, freshErr: gone, own: []string{"own"}},
		"not readable": {owner: owner, freshErr: errors.New("no answer"), own: []string{"own"}, also: "\nread ReplicaSet web anew: no answer"},
	} {
		var adopted, released []string
		own, err := Ownership[*appsv1.ReplicaSet, *corev1.Pod]{
			Owner: test.owner, Kind: kind, Selector: labels.SelectorFromSet(labels.Set{"app": "web"}),
			Fresh: func(context.Context, string, metav1.GetOptions) (*appsv1.ReplicaSet, error) {
				return test.fresh, test.freshErr
			},
			Adoptable: func(p *corev1.Pod) bool { return p.Name != "bad" },
			Update: func(_ context.Context, was, changed *corev1.Pod) (*corev1.Pod, error) {
				switch {
				case was.Name == "gone":
					return nil, apierrors.NewNotFound(corev1.Resource("pods"), was.Name)
				case was.Name == "stuck":
					return nil, errors.New("stuck")
				case metav1.IsControlledBy(changed, test.owner):
					adopted = append(adopted, was.Name)
				default:
					released = append(released, was.Name)
				}
				return changed, nil
			},
		}.Settle(t.Context(), all)
		var names []string
		for _, p := range own {
			names = append(names, p.Name)
		}
		if !slices.Equal(names, test.own) || !slices.Equal(adopted, test.adopted) || !slices.Equal(released, []string{"stranger"}) {
			t.Errorf("%s: own %v, adopted %v, released %v", name, names, adopted, released)
		}
		if want := "stuck" + test.also; fmt.Sprint(err) != want {
			t.Errorf("%s: error %q, want %q", name, err, want)
		}
	}
}
