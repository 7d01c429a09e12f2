package rollout

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	aged := func(rs *appsv1.ReplicaSet, minutes int) *appsv1.ReplicaSet {
		rs.CreationTimestamp.Time = noon.AddDate(0, 0, -minutes)
		return rs
	}
	current := func(name string) *appsv1.ReplicaSet {
		return aSet(name, 1, 1, func(rs *appsv1.ReplicaSet) {
			rs.Spec.Template = aTemplate("web:new")
			rs.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = name
		})
	}
	tests := []struct {
		name        string
		sets        []*appsv1.ReplicaSet
		wantCurrent string
		wantOld     string
	}{
		{"none", nil, "", ""},
		{"only old ones, oldest first", []*appsv1.ReplicaSet{aged(aSet("b", 1, 1), 1), aged(aSet("a", 1, 1), 2)}, "", "a b"},
		{"the hash label makes no other template", []*appsv1.ReplicaSet{aSet("a", 1, 1), current("c")}, "c", "a"},
		{"of two with the template the oldest", []*appsv1.ReplicaSet{aged(current("c"), 1), aged(current("d"), 2)}, "d", "c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, old := Split(aDeployment(1, "1", "0"), tt.sets)
			var name string
			if got != nil {
				name = got.Name
			}
			if name != tt.wantCurrent || names(old) != tt.wantOld {
				t.Errorf("current %q, old %q; want %q, %q", name, names(old), tt.wantCurrent, tt.wantOld)
			}
		})
	}
}

func names(sets []*appsv1.ReplicaSet) string {
	var out []string
	for _, rs := range sets {
		out = append(out, rs.Name)
	}
	return strings.Join(out, " ")
}

func TestTemplateHash(t *testing.T) {
	t.Parallel()
	a, b := aTemplate("web:1"), aTemplate("web:2")
	first := TemplateHash(&a, nil)
	if again := TemplateHash(a.DeepCopy(), nil); again != first {
		t.Errorf("the same template is %s and %s", first, again)
	}
	for other, hash := range map[string]string{
		"another image":           TemplateHash(&b, nil),
		"a collision":             TemplateHash(&a, new(int32(1))),
		"a collision count of 0":  TemplateHash(&a, new(int32(0))),
		"a second collision also": TemplateHash(&a, new(int32(2))),
	} {
		if hash == first {
			t.Errorf("%s makes no difference", other)
		}
	}
	if strings.Trim(first, "bcdfghjklmnpqrstvwxz2456789") != "" {
		t.Errorf("%s could spell a word", first)
	}
}

func TestSetRevision(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name              string
		revision, history string
		next              int64
		want, wantHistory string
		wantChange        bool
	}{
		{"a new set", "", "", 3, "3", "", true},
		{"rolled back to", "1", "", 3, "3", "1", true},
		{"rolled back to again", "3", "1", 5, "5", "1,3", true},
		{"newest already", "3", "1", 3, "3", "1", false},
		{"newer than all that are left", "7", "", 3, "7", "", false},
		{"tampered with", "latest", "", 3, "3", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rs := &appsv1.ReplicaSet{}
			if tt.revision != "" {
				annotate(rs, RevisionAnnotation, tt.revision)
			}
			if tt.history != "" {
				annotate(rs, RevisionHistoryAnnotation, tt.history)
			}
			changed := SetRevision(rs, tt.next)
			if changed != tt.wantChange || rs.Annotations[RevisionAnnotation] != tt.want || rs.Annotations[RevisionHistoryAnnotation] != tt.wantHistory {
				t.Errorf("changed %v to %v, want %v, revision %s, history %q", changed, rs.Annotations, tt.wantChange, tt.want, tt.wantHistory)
			}
		})
	}
}

func TestRevisionHistoryIsBounded(t *testing.T) {
	t.Parallel()
	rs := &appsv1.ReplicaSet{}
	for next := int64(1); next < 2000; next++ {
		SetRevision(rs, next)
	}
	history := rs.Annotations[RevisionHistoryAnnotation]
	if len(history) > maxHistoryLength || !strings.HasSuffix(history, ",1997,1998") || strings.HasPrefix(history, ",") {
		t.Errorf("history has %d bytes: %.20s … %s", len(history), history, history[len(history)-20:])
	}
}

func TestCopyAnnotations(t *testing.T) {
	t.Parallel()
	d, rs := aDeployment(3, "1", "0"), aSet("a", 3, 3, revision(1), sizedFor(3, 4))
	d.Annotations = map[string]string{
		"kubernetes.io/change-cause":       "kubectl set image",
		"empty":                            "",
		corev1.LastAppliedConfigAnnotation: "{}",
		appsv1.DeprecatedRollbackTo:        "1",
		RevisionAnnotation:                 "9",
		RevisionHistoryAnnotation:          "8",
		DesiredReplicasAnnotation:          "9",
		MaxReplicasAnnotation:              "9",
	}
	want := map[string]string{
		"kubernetes.io/change-cause": "kubectl set image",
		"empty":                      "",
		RevisionAnnotation:           "1",
		DesiredReplicasAnnotation:    "3",
		MaxReplicasAnnotation:        "4",
	}
	if !CopyAnnotations(d, rs) {
		t.Error("nothing changed")
	}
	if diff := cmp.Diff(want, rs.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if CopyAnnotations(d, rs) {
		t.Error("the second time changed something")
	}
}

func TestOutlived(t *testing.T) {
	t.Parallel()
	gone := func(rs *appsv1.ReplicaSet) { rs.DeletionTimestamp = new(ago(0)) }
	terminating := func(rs *appsv1.ReplicaSet) { rs.Status.TerminatingReplicas = new(int32(1)) }
	late := func(rs *appsv1.ReplicaSet) { rs.Status.Replicas = 1 }
	limit := func(n int32) *int32 { return &n }
	old := func(change ...func(*appsv1.ReplicaSet)) []*appsv1.ReplicaSet {
		return []*appsv1.ReplicaSet{aSet("c", 0, 0, revision(10)), aSet("a", 0, 0, append(change, revision(2))...), aSet("b", 0, 0, revision(9))}
	}
	tests := []struct {
		name  string
		limit *int32
		old   []*appsv1.ReplicaSet
		want  string
	}{
		{"no limit", nil, old(), ""},
		{"no limit, as a number", limit(1<<31 - 1), old(), ""},
		{"within the limit", limit(3), old(), ""},
		{"lowest revision first, as a number", limit(2), old(), "a"},
		{"none is kept", limit(0), old(), "a b c"},
		{"one with Pods stays, and counts", limit(2), []*appsv1.ReplicaSet{aSet("a", 1, 1, revision(1)), aSet("b", 0, 0, revision(2)), aSet("c", 0, 0, revision(3))}, ""},
		{"one whose Pods are still counted stays", limit(2), old(late), ""},
		{"one whose Pods are terminating stays", limit(2), old(terminating), ""},
		{"one that has not answered stays", limit(2), old(unsettled), ""},
		{"one that goes already does not count", limit(2), old(gone), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := aDeployment(3, "1", "0")
			d.Spec.RevisionHistoryLimit = tt.limit
			if got := names(Outlived(d, tt.old)); got != tt.want {
				t.Errorf("outlived are %q, want %q", got, tt.want)
			}
		})
	}
}
