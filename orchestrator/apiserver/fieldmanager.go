package apiserver

import (
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// typeConverter knows which lists are merged by which keys. Its table is read
// when somebody writes for the first time.
var typeConverter = sync.OnceValue(func() managedfields.TypeConverter {
	return applyconfigurations.NewTypeConverter(scheme.Scheme)
})

// fieldManagers keep record, in metadata.managedFields, of who has set which
// fields of a kind's objects; each subresource has its own.
//
// The record of an object begins when somebody outside makes it, or applies it.
// What the instance's own parts make, all Pods of Deployments for one, has none: it
// would cost twice the room and be read by nobody. Where that is applied all the
// same, what was there before is recorded as set by "before-first-apply".
type fieldManagers struct {
	mu     sync.Mutex // guards byName
	byName map[string]*managedfields.FieldManager
}

func (m *fieldManagers) of(k *kind, subresource string) (*managedfields.FieldManager, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if found := m.byName[subresource]; found != nil {
		return found, nil
	}
	of, types := k.GVK, typeConverter
	if subresource == "scale" { // of which that table knows nothing
		of, types = scaleGVK, managedfields.NewDeducedTypeConverter
	}
	made, err := managedfields.NewDefaultFieldManager(types(), scheme.Scheme, scheme.Scheme, scheme.Scheme,
		of, of.GroupVersion(), subresource, k.reset(subresource))
	if err != nil {
		return nil, fmt.Errorf("manage fields of %s: %w", k.Plural, err)
	}
	if m.byName == nil {
		m.byName = map[string]*managedfields.FieldManager{}
	}
	m.byName[subresource] = made
	return made, nil
}

// reset is what a write to a subresource cannot set, so that nobody owns it by
// having tried.
func (k *kind) reset(subresource string) map[fieldpath.APIVersion]fieldpath.Filter {
	other := "status"
	switch {
	case k.PrepareStatus == nil, subresource == "scale":
		return nil
	case subresource == "status":
		other = "spec"
	}
	return map[fieldpath.APIVersion]fieldpath.Filter{
		fieldpath.APIVersion(k.GVK.GroupVersion().String()): fieldpath.NewExcludeSetFilter(fieldpath.NewSet(fieldpath.MakePathOrDie(other))),
	}
}

// recordNew notes who has made an object.
func (r *request) recordNew(obj object) error {
	if r.recorded || !r.outside {
		return nil
	}
	manager, err := r.kind.managers.of(r.kind, "")
	if err != nil {
		return err
	}
	manager.UpdateNoErrors(withKind(r.kind.New(), r.kind.GVK), withKind(obj, r.kind.GVK), r.manager())
	return nil
}

// record notes who has set the fields in which obj differs from old.
func (r *request) record(mode changeMode, obj, old object) error {
	switch {
	case r.recorded:
		return nil
	case len(old.GetManagedFields()) == 0:
		obj.SetManagedFields(nil)
		return nil
	case mode == ownChange:
		obj.SetManagedFields(old.GetManagedFields())
		return nil
	}
	manager, err := r.kind.managers.of(r.kind, r.subresource)
	if err != nil {
		return err
	}
	// It works on obj itself.
	manager.UpdateNoErrors(withKind(old, r.kind.GVK), obj, r.manager())
	return nil
}

// maxManager is how much of a client's own name is kept, as upstream does.
const maxManager = 128

// manager is the name of who writes: what it says, or else its program's.
func (r *request) manager() string {
	if name := r.query.Get("fieldManager"); name != "" {
		return name
	}
	name, _, _ := strings.Cut(r.UserAgent(), "/")
	return strings.ToValidUTF8(name[:min(len(name), maxManager)], "")
}
