package apiserver

import (
	"net/http"
	"slices"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// upstreamVersion is the Kubernetes whose API this is.
const upstreamVersion = "v1.37.2"

// groupVersions lists what is served, in the order of the table.
func (s *Server) groupVersions() []schema.GroupVersion {
	var all []schema.GroupVersion
	for _, k := range s.order {
		if gv := k.GVK.GroupVersion(); !slices.Contains(all, gv) {
			all = append(all, gv)
		}
	}
	return all
}

func (s *Server) kindsOf(gv schema.GroupVersion) []*kind {
	var some []*kind
	for _, k := range s.order {
		if k.GVK.GroupVersion() == gv {
			some = append(some, k)
		}
	}
	return some
}

func (s *Server) groups() []metav1.APIGroup {
	var all []metav1.APIGroup
	for _, gv := range s.groupVersions() {
		if gv.Group == "" {
			continue
		}
		entry := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
		i := slices.IndexFunc(all, func(g metav1.APIGroup) bool { return g.Name == gv.Group })
		if i < 0 {
			all = append(all, metav1.APIGroup{Name: gv.Group, PreferredVersion: entry})
			i = len(all) - 1
		}
		all[i].Versions = append(all[i].Versions, entry)
	}
	return all
}

// serveLegacyVersions answers /api.
func (s *Server) serveLegacyVersions(r *request) error {
	core := func(group string) bool { return group == "" }
	if answered, err := s.serveAggregated(r, core); answered || err != nil {
		return err
	}
	return s.answerMeta(r, &metav1.APIVersions{
		TypeMeta: metav1.TypeMeta{Kind: "APIVersions", APIVersion: "v1"},
		Versions: []string{"v1"},
		ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{
			{ClientCIDR: "0.0.0.0/0", ServerAddress: r.Host},
		},
	})
}

// serveGroups answers /apis.
func (s *Server) serveGroups(r *request) error {
	named := func(group string) bool { return group != "" }
	if answered, err := s.serveAggregated(r, named); answered || err != nil {
		return err
	}
	return s.answerMeta(r, &metav1.APIGroupList{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"},
		Groups:   s.groups(),
	})
}

// serveGroupVersions answers /apis/<group>.
func (s *Server) serveGroupVersions(r *request, group string) error {
	for _, g := range s.groups() {
		if g.Name == group {
			g.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
			return s.answerMeta(r, &g)
		}
	}
	return errUnknownPath
}

// serveResources answers /api/v1 and /apis/<group>/<version>.
func (s *Server) serveResources(r *request, gv schema.GroupVersion) error {
	kinds := s.kindsOf(gv)
	if len(kinds) == 0 {
		return errUnknownPath
	}
	list := &metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: gv.String(),
	}
	for _, k := range kinds {
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: k.Plural, SingularName: k.Singular, Namespaced: k.Namespaced, Kind: k.GVK.Kind,
			Verbs: k.verbs(), ShortNames: k.ShortNames, Categories: k.Categories,
		})
		for _, name := range k.subresourceNames() {
			sub := k.subresources[name]
			entry := metav1.APIResource{Name: k.Plural + "/" + name, Namespaced: k.Namespaced, Kind: sub.kind.Kind, Verbs: sub.verbNames()}
			if sub.kind.GroupVersion() != gv {
				entry.Group, entry.Version = sub.kind.Group, sub.kind.Version
			}
			list.APIResources = append(list.APIResources, entry)
		}
	}
	return s.answerMeta(r, list)
}

// serveAggregated answers with all of discovery in one document, if the client
// would rather have that.
func (s *Server) serveAggregated(r *request, include func(group string) bool) (bool, error) {
	wants := slices.ContainsFunc(parseAccept(r.Header.Get("Accept")), func(a accepted) bool {
		return a.mediaType == runtime.ContentTypeJSON && a.params["as"] == asDiscovery &&
			a.params["g"] == apidiscovery.GroupName && a.params["v"] == "v2"
	})
	if !wants || r.Method != http.MethodGet {
		return false, nil
	}
	list := &apidiscovery.APIGroupDiscoveryList{
		TypeMeta: metav1.TypeMeta{Kind: asDiscovery, APIVersion: apidiscovery.SchemeGroupVersion.String()},
		Items:    []apidiscovery.APIGroupDiscovery{},
	}
	for _, gv := range s.groupVersions() {
		if !include(gv.Group) {
			continue
		}
		i := slices.IndexFunc(list.Items, func(g apidiscovery.APIGroupDiscovery) bool { return g.Name == gv.Group })
		if i < 0 {
			list.Items = append(list.Items, apidiscovery.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: gv.Group}})
			i = len(list.Items) - 1
		}
		list.Items[i].Versions = append(list.Items[i].Versions, s.versionDiscovery(gv))
	}
	r.out = output{format: formats[0], as: asDiscovery}
	return true, s.encodeAnswer(r, http.StatusOK, list)
}

func (s *Server) versionDiscovery(gv schema.GroupVersion) apidiscovery.APIVersionDiscovery {
	discovered := apidiscovery.APIVersionDiscovery{Version: gv.Version, Freshness: apidiscovery.DiscoveryFreshnessCurrent}
	for _, k := range s.kindsOf(gv) {
		scope := apidiscovery.ScopeCluster
		if k.Namespaced {
			scope = apidiscovery.ScopeNamespace
		}
		resource := apidiscovery.APIResourceDiscovery{
			Resource: k.Plural, SingularResource: k.Singular, Scope: scope, Verbs: k.verbs(),
			ResponseKind: responseKind(k.GVK), ShortNames: k.ShortNames, Categories: k.Categories,
		}
		for _, name := range k.subresourceNames() {
			sub := k.subresources[name]
			resource.Subresources = append(resource.Subresources, apidiscovery.APISubresourceDiscovery{
				Subresource: name, ResponseKind: responseKind(sub.kind), Verbs: sub.verbNames(),
			})
		}
		discovered.Resources = append(discovered.Resources, resource)
	}
	return discovered
}

func responseKind(gvk schema.GroupVersionKind) *metav1.GroupVersionKind {
	return &metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}
}

// answerMeta writes what describes the API itself.
func (s *Server) answerMeta(r *request, obj runtime.Object) error {
	if err := readOnly(r); err != nil {
		return err
	}
	out, err := negotiate(r, false)
	if err != nil {
		return err
	}
	out.as = ""
	r.out = out
	return s.encodeAnswer(r, http.StatusOK, obj)
}

func readOnly(r *request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return apierrors.NewMethodNotSupported(schema.GroupResource{}, r.Method)
	}
	return nil
}

func (s *Server) versionInfo() version.Info {
	git := upstreamVersion + "+skiff"
	if s.version != "" {
		git += "." + s.version
	}
	return version.Info{
		Major: "1", Minor: "37", GitVersion: git, GitTreeState: "clean",
		GoVersion: goVersion, Compiler: goCompiler, Platform: goPlatform,
	}
}
