package main

import (
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/dynamic"
	scaleclient "k8s.io/client-go/scale"
	kubectlscale "k8s.io/kubectl/pkg/scale"
)

func (p *program) scale() *cobra.Command {
	return spec{
		name:  "scale",
		short: "set how many replicas a Deployment or ReplicaSet has",
		args:  "--replicas=COUNT TYPE/NAME… | TYPE NAME | -f FILE",
		examples: examples(
			"skiff scale --replicas=5 deployment/web",
			"skiff scale -f web.yaml --replicas=0",
			"skiff scale --current-replicas=2 --replicas=3 deployment/web    only if it has 2"),
		flags: func(f *flags) {
			fileFlags(f)
			f.Int64("replicas", 0, "the `COUNT` wanted; required")
			f.Int64("current-replicas", -1, "only if the object has this `COUNT` now")
			f.String("resource-version", "", "", "only if the object has this `VERSION`")
			f.Duration("timeout", 0, "wait this `LONG` for the replicas to be there (default: do not wait)")
			f.Bool("all", "", false, "all objects of the type")
			recordFlag(f)
			outputFlag(f)
			selectorFlag(f)
		},
		run: p.runScale,
	}.command()
}

func (p *program) runScale(c *call) error {
	if !c.IsSet("replicas") || c.Int64("replicas") < 0 {
		return c.usage("the --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
	}
	r, err := p.request(c)
	if err != nil {
		return err
	}
	recorder, err := p.recorder(c)
	if err != nil {
		return err
	}
	scaler, kinds, err := newScaler(r)
	if err != nil {
		return err
	}
	b, err := r.builder(untyped)
	if err != nil {
		return err
	}
	infos, err := b.LabelSelectorParam(c.String("selector")).ResourceTypeOrNameArgs(c.Bool("all"), r.args...).Latest().Flatten().Do().Infos()
	if err != nil {
		return err
	}
	if r.byFile {
		infos = orAll(infos, func(info *resource.Info) bool {
			_, err := kinds.ScaleForResource(info.Mapping.Resource)
			return err == nil
		})
	}
	var errs []error
	for _, info := range infos {
		if err := p.scaleOne(c, scaler, recorder, info); err != nil {
			errs = append(errs, err)
		}
	}
	return utilerrors.NewAggregate(errs)
}

// newScaler gives also the resolver that knows which resources can be scaled.
func newScaler(r *request) (kubectlscale.Scaler, scaleclient.ScaleKindResolver, error) {
	config, err := r.ToRESTConfig()
	if err != nil {
		return nil, nil, err
	}
	found, err := r.ToDiscoveryClient()
	if err != nil {
		return nil, nil, err
	}
	mapper, err := r.ToRESTMapper()
	if err != nil {
		return nil, nil, err
	}
	kinds := scaleclient.NewDiscoveryScaleKindResolver(found)
	client, err := scaleclient.NewForConfig(config, mapper, dynamic.LegacyAPIPathResolverFunc, kinds)
	if err != nil {
		return nil, nil, err
	}
	return kubectlscale.NewScaler(client), kinds, nil
}

func (p *program) scaleOne(c *call, scaler kubectlscale.Scaler, recorder genericclioptions.Recorder, info *resource.Info) error {
	var precondition *kubectlscale.ScalePrecondition
	if c.IsSet("current-replicas") || c.IsSet("resource-version") {
		precondition = &kubectlscale.ScalePrecondition{Size: int(c.Int64("current-replicas")), ResourceVersion: c.String("resource-version")}
	}
	var wait *kubectlscale.RetryParams
	if timeout := c.Duration("timeout"); timeout > 0 {
		wait = kubectlscale.NewRetryParams(100*time.Millisecond, timeout)
	}
	retry := kubectlscale.NewRetryParams(time.Second, 5*time.Minute)
	actual := new(int32)
	if err := scaler.Scale(info.Namespace, info.Name, uint(c.Int64("replicas")), actual, precondition, retry, wait, info.Mapping.Resource, false); err != nil {
		return err
	}
	if u, ok := info.Object.(*unstructured.Unstructured); ok {
		if err := unstructured.SetNestedField(u.Object, int64(*actual), "spec", "replicas"); err != nil {
			return err
		}
	}
	patch, err := recorder.MakeRecordMergePatch(info.Object)
	if err != nil {
		return err
	}
	if len(patch) > 0 {
		if _, err := resource.NewHelper(info.Client, info.Mapping).Patch(info.Namespace, info.Name, types.MergePatchType, patch, nil); err != nil {
			return err
		}
	}
	return p.say(c, info.Object, "scaled")
}
