package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/polymorphichelpers"
)

func (p *program) set() *cobra.Command {
	return spec{
		name:  "set",
		short: "change one thing of an object: its images",
		subs: []*cobra.Command{spec{
			name:  "image",
			short: "give containers of a Pod template another image, which starts a rollout",
			args:  "TYPE/NAME | TYPE NAME | -f FILE  CONTAINER=IMAGE…",
			examples: examples(
				"skiff set image deployment/web web=web:2",
				"skiff set image -f deploy/go-demo-2-db.yml db=mongo:3.5 --record",
				"skiff set image deployment/web '*=web:2'    all its containers"),
			flags: func(f *flags) {
				fileFlags(f)
				recordFlag(f)
				outputFlag(f)
				selectorFlag(f)
				f.Bool("all", "", false, "all objects of the type")
			},
			run: p.runSetImage,
		}.command()},
	}.command()
}

func (p *program) runSetImage(c *call) error {
	names, images, err := imagePairs(c.args)
	if err != nil {
		return c.usage(err.Error())
	}
	r, err := p.request(c)
	if err != nil {
		return err
	}
	if len(names) == 0 && !r.byFile {
		return c.usage("one or more resources must be specified as <resource> <name> or <resource>/<name>")
	}
	r.args = names
	recorder, err := p.recorder(c)
	if err != nil {
		return err
	}
	infos, err := r.live(c.String("selector"), c.Bool("all"))
	if err != nil {
		return err
	}
	if r.byFile {
		infos = onlyTemplated(infos)
	}
	var errs []error
	for _, info := range infos {
		changed, err := change(info, "skiff-set", func(obj runtime.Object) error {
			if err := setImages(info, images); err != nil {
				return err
			}
			return recorder.Record(obj)
		})
		if err == nil && changed != nil {
			err = p.say(c, changed, "image updated")
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return utilerrors.NewAggregate(errs)
}

// onlyTemplated leaves out what has no Pod template, unless that is everything:
// the manifest of a Deployment often holds its Service as well.
func onlyTemplated(infos []*resource.Info) []*resource.Info {
	return orAll(infos, func(info *resource.Info) bool {
		has, err := polymorphichelpers.UpdatePodSpecForObjectFn(info.Object, func(*corev1.PodSpec) error { return nil })
		return has && err == nil
	})
}

type imagePair struct{ container, image string }

// imagePairs tells the objects' names from the CONTAINER=IMAGE behind them.
func imagePairs(args []string) (names []string, pairs []imagePair, err error) {
	for _, arg := range args {
		container, image, isPair := strings.Cut(arg, "=")
		switch {
		case !isPair && len(pairs) > 0:
			return nil, nil, fmt.Errorf("all resources must be specified before image changes: %s", arg)
		case !isPair:
			names = append(names, arg)
		case container == "" || image == "":
			return nil, nil, fmt.Errorf("invalid image change %q: it must be CONTAINER=IMAGE", arg)
		default:
			pairs = append(pairs, imagePair{container, image})
		}
	}
	if len(pairs) == 0 {
		return nil, nil, errors.New("at least one image update is required")
	}
	for _, pair := range pairs {
		if pair.container == "*" && len(pairs) > 1 {
			return nil, nil, errors.New("all containers are already specified by *, but saw more than one container_name=container_image pairs")
		}
	}
	return names, pairs, nil
}

func setImages(info *resource.Info, pairs []imagePair) error {
	_, err := polymorphichelpers.UpdatePodSpecForObjectFn(info.Object, func(spec *corev1.PodSpec) error {
		for _, pair := range pairs {
			found := false
			for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
				for i := range containers {
					if pair.container == "*" || containers[i].Name == pair.container {
						containers[i].Image, found = pair.image, true
					}
				}
			}
			if !found {
				return fmt.Errorf("unable to find container named %q", pair.container)
			}
		}
		return nil
	})
	return err
}
