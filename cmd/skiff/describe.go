package main

import (
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/cli-runtime/pkg/resource"
	kubectldescribe "k8s.io/kubectl/pkg/describe"
)

func (p *program) describe() *cobra.Command {
	return spec{
		name:  "describe",
		short: "tell everything about objects, their events included",
		args:  "TYPE [NAME or its beginning] | TYPE/NAME… | -f FILE",
		examples: examples(
			"skiff describe deployment web",
			"skiff describe -f deploy/go-demo-2-db.yml",
			"skiff describe pods -l app=web"),
		flags: func(f *flags) {
			fileFlags(f)
			selectorFlag(f)
			f.Bool("all-namespaces", "A", false, "in all namespaces")
			f.Bool("show-events", "", true, "with the events (default: if it is one object)")
		},
		run: p.runDescribe,
	}.command()
}

func (p *program) runDescribe(c *call) error {
	r, err := p.servedRequest(c)
	if err != nil {
		return err
	}
	if len(r.args) == 0 && !r.byFile {
		return c.usage("you must specify the type of resource to describe")
	}
	b, err := r.builder(untyped)
	if err != nil {
		return err
	}
	infos, err := b.AllNamespaces(c.Bool("all-namespaces")).LabelSelectorParam(c.String("selector")).
		ResourceTypeOrNameArgs(true, r.args...).RequestChunksOf(500).Flatten().Do().Infos()
	settings := kubectldescribe.DescriberSettings{ShowEvents: c.Bool("show-events"), ChunkSize: 500}
	if (err != nil || len(infos) > 1) && !c.IsSet("show-events") {
		settings.ShowEvents = false
	}
	if apierrors.IsNotFound(err) && len(r.args) == 2 {
		return p.describeByPrefix(r, settings, err)
	}
	var errs []error
	if err != nil {
		errs = append(errs, err)
	}
	for i, info := range infos {
		text, err := describeOne(r, info, settings)
		switch {
		case err != nil:
			errs = append(errs, err)
		case i == 0:
			printf(p.Out, "%s", text)
		default:
			printf(p.Out, "\n\n%s", text)
		}
	}
	if len(infos) == 0 && len(errs) == 0 {
		printf(p.ErrOut, "No resources found in %s namespace.\n", r.namespace)
	}
	return utilerrors.NewAggregate(append(errs, r.unserved))
}

func describeOne(r *request, info *resource.Info, settings kubectldescribe.DescriberSettings) (string, error) {
	describer, err := kubectldescribe.DescriberFn(r, info.Mapping)
	if err != nil {
		return "", err
	}
	return describer.Describe(info.Namespace, info.Name, settings)
}

// describeByPrefix takes the name for the beginning of names.
func (p *program) describeByPrefix(r *request, settings kubectldescribe.DescriberSettings, notFound error) error {
	b, err := r.builder(untyped)
	if err != nil {
		return err
	}
	infos, err := b.ResourceTypeOrNameArgs(true, r.args[0]).RequestChunksOf(500).Flatten().Do().Infos()
	if err != nil {
		return err
	}
	found := false
	for _, info := range infos {
		if !strings.HasPrefix(info.Name, r.args[1]) {
			continue
		}
		found = true
		text, err := describeOne(r, info, settings)
		if err != nil {
			return err
		}
		printf(p.Out, "%s\n", text)
	}
	if !found {
		return notFound
	}
	return nil
}
