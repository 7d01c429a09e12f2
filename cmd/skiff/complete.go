package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"
)

// completionPatience is as long as somebody who pressed TAB waits. Nothing is
// said where there is no answer, or no daemon.
const completionPatience = 3 * time.Second

// arguments are what a command's words name.
type arguments int

const (
	anyType arguments = iota // TYPE NAME… or TYPE/NAME
	pods                     // a Pod, or TYPE/NAME
	services
	files // a file here, or POD:PATH
)

// completed says what the words after a command are.
var completed = map[string]arguments{
	"get": anyType, "describe": anyType, "delete": anyType, "edit": anyType, "scale": anyType,
	"rollout status": anyType, "rollout history": anyType, "rollout undo": anyType,
	"rollout pause": anyType, "rollout resume": anyType, "rollout restart": anyType, "set image": anyType,
	"logs": pods, "exec": pods, "attach": pods, "port-forward": pods,
	"url": services, "open": services, "cp": files,
}

// complete has the shell offer names that the API knows.
func (p *program) complete(app *cobra.Command) error {
	for words, names := range completed {
		c, _, err := app.Find(strings.Fields(words))
		if err != nil {
			return err
		}
		c.ValidArgsFunction = func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			return p.suggest(c, args, begun, names)
		}
		if c.Flags().Lookup("container") != nil {
			if err := c.RegisterFlagCompletionFunc("container", p.suggestContainers); err != nil {
				return err
			}
		}
	}
	return app.RegisterFlagCompletionFunc("namespace", func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return p.namesOf(c, "namespaces"), cobra.ShellCompDirectiveNoFileComp
	})
}

func (p *program) suggest(c *cobra.Command, args []string, begun string, of arguments) ([]string, cobra.ShellCompDirective) {
	if kind, _, both := strings.Cut(begun, "/"); both && of != files {
		return prefixed(kind+"/", p.namesOf(c, kind)), cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	switch {
	case of == files && len(args) < 2 && !strings.Contains(begun, ":"):
		for _, pod := range p.namesOf(c, "pods") {
			names = append(names, pod+":")
		}
		return names, cobra.ShellCompDirectiveNoSpace
	case of == files:
		return nil, cobra.ShellCompDirectiveDefault
	case of == pods && len(args) == 0:
		names = p.namesOf(c, "pods")
	case of == services && len(args) == 0:
		names = p.namesOf(c, "services")
	case of == anyType && len(args) == 0:
		names = p.types(c)
	case of == anyType && !strings.Contains(args[0], "/"):
		names = slices.DeleteFunc(p.namesOf(c, args[0]), func(name string) bool { return slices.Contains(args[1:], name) })
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func prefixed(prefix string, names []string) []string {
	for i := range names {
		names[i] = prefix + names[i]
	}
	return names
}

// suggestContainers are those of the Pod, or the template, that is named.
func (p *program) suggestContainers(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if len(args) > 0 {
		for _, info := range p.find(c, func(b *resource.Builder) { b.ResourceNames("pods", args[0]) }) {
			names = append(names, containersOf(info)...)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func containersOf(info *resource.Info) []string {
	obj, ok := info.Object.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	var names []string
	for _, spec := range [][]string{{"spec"}, {"spec", "template", "spec"}} {
		for _, list := range []string{"containers", "initContainers"} {
			containers, _, _ := unstructured.NestedSlice(obj.Object, append(slices.Clone(spec), list)...)
			for _, one := range containers {
				if fields, ok := one.(map[string]any); ok {
					name, _, _ := unstructured.NestedString(fields, "name")
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// namesOf are the names of all objects of a type.
func (p *program) namesOf(c *cobra.Command, kind string) []string {
	var names []string
	for _, info := range p.find(c, func(b *resource.Builder) { b.ResourceTypeOrNameArgs(true, kind) }) {
		names = append(names, info.Name)
	}
	return names
}

func (p *program) find(c *cobra.Command, what func(*resource.Builder)) []*resource.Info {
	conn, err := p.connect(newCall(c, nil))
	if err != nil {
		return nil
	}
	namespace, _, err := conn.namespace()
	if err != nil {
		return nil
	}
	return inTime(c.Context(), func() []*resource.Info {
		b := untyped(conn.builder()).NamespaceParam(namespace).DefaultNamespace().ContinueOnError()
		what(b)
		infos, _ := b.Flatten().Do().Infos()
		return infos
	})
}

// types are the names of those that the server has.
func (p *program) types(c *cobra.Command) []string {
	conn, err := p.connect(newCall(c, nil))
	if err != nil {
		return nil
	}
	return inTime(c.Context(), func() []string {
		found, err := conn.ToDiscoveryClient()
		if err != nil {
			return nil
		}
		_, groups, _ := found.ServerGroupsAndResources()
		var names []string
		for _, group := range groups {
			for _, r := range group.APIResources {
				if !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "list") && !slices.Contains(names, r.Name) {
					names = append(names, r.Name)
				}
			}
		}
		return names
	})
}

// inTime is what ask gives, or nothing where that takes too long.
func inTime[T any](ctx context.Context, ask func() []T) []T {
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	answer := make(chan []T, 1)
	go func() { answer <- ask() }()
	select {
	case found := <-answer:
		return found
	case <-ctx.Done():
		return nil
	}
}
