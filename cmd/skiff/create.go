package main

import (
	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/scheme"
	"k8s.io/kubectl/pkg/util"

	"skiff/orchestrator/manifest"
)

func (p *program) create() *cobra.Command {
	return spec{
		name:  "create",
		short: "create the objects of a manifest",
		args:  onlyFile,
		examples: examples(
			"skiff create -f deploy/go-demo-2-db.yml --record",
			"skiff create -f deploy/              every .yaml, .yml and .json in a directory",
			"cat web.yaml | skiff create -f -"),
		flags: func(f *flags) {
			fileFlags(f)
			recordFlag(f)
			outputFlag(f)
			selectorFlag(f)
			f.Bool("save-config", "", false, "note the manifest in the object, as apply does, so that apply can be used on it later")
		},
		run: p.runCreate,
	}.command()
}

func (p *program) runCreate(c *call) error {
	infos, r, err := p.manifests(c)
	if err != nil {
		return err
	}
	recorder, err := p.recorder(c)
	if err != nil {
		return err
	}
	var errs []error
	for _, info := range infos {
		p.warnings.During(r.document(info))
		if err := p.createOne(c, info, recorder); err != nil {
			errs = append(errs, r.explain(info, err))
		}
	}
	return utilerrors.NewAggregate(append(errs, r.unserved))
}

// manifests gives the objects of create and apply, which work on files only.
func (p *program) manifests(c *call) ([]*resource.Info, *request, error) {
	if len(c.args) > 0 {
		return nil, nil, c.usage("unexpected arguments: " + c.args[0])
	}
	if len(c.StringSlice("filename")) == 0 {
		return nil, nil, c.usage("must specify -f FILE")
	}
	r, err := p.servedRequest(c)
	if err != nil {
		return nil, nil, err
	}
	if twice := manifest.Duplicates(r.docs, r.namespace); len(twice) > 0 {
		return nil, nil, twice
	}
	b, err := r.builder(untyped)
	if err != nil {
		return nil, nil, err
	}
	infos, err := b.LabelSelectorParam(c.String("selector")).Flatten().Do().Infos()
	return infos, r, err
}

func (p *program) createOne(c *call, info *resource.Info, recorder genericclioptions.Recorder) error {
	if err := util.CreateOrUpdateAnnotation(c.Bool("save-config"), info.Object, scheme.DefaultJSONEncoder()); err != nil {
		return err
	}
	if err := recorder.Record(info.Object); err != nil {
		return err
	}
	created, err := resource.NewHelper(info.Client, info.Mapping).
		WithFieldManager("skiff-create").WithFieldValidation("Strict").
		Create(info.Namespace, true, info.Object)
	if err != nil {
		return err
	}
	if err := info.Refresh(created, true); err != nil {
		return err
	}
	return p.say(c, info.Object, "created")
}
