package node

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// environment gathers a container's variables as the kubelet does: first whole
// ConfigMaps and Secrets, then the variables one by one, each of which may refer
// to what is there before it, and last what Services add to that.
type environment struct {
	setup
	objects  objects
	services map[string]string

	names  []string // in order
	values map[string]string
	bad    []string // keys that cannot be variables
}

// environment makes a container's variables. An error is why it must not be
// started, in the kubelet's words.
func (p *pod) environment(ctx context.Context, s setup) (*environment, error) {
	services, err := corelisters.NewServiceLister(p.Factory.Services().Informer().GetIndexer()).List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list Services: %w", err)
	}
	e := &environment{
		setup:    s,
		objects:  objects{client: p.Client.CoreV1(), namespace: s.pod.Namespace},
		services: serviceEnvironment(s.pod, services),
		values:   map[string]string{},
	}
	if err := e.build(ctx); err != nil {
		return nil, err
	}
	if len(e.bad) > 0 {
		p.events.warn(s.pod, s.c.Name, reasonInvalidVariables,
			"Keys %v from the sources of envFrom were skipped since they are considered invalid environment variable names.", e.bad)
	}
	return e, nil
}

func (e *environment) build(ctx context.Context) error {
	for _, from := range e.c.EnvFrom {
		data, err := e.source(ctx, from)
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(data)) {
			if name := from.Prefix + key; len(validation.IsRelaxedEnvVarName(name)) > 0 {
				e.bad = append(e.bad, name)
			} else {
				e.set(name, data[key])
			}
		}
	}
	for _, v := range e.c.Env {
		value, ok, err := e.value(ctx, v)
		if err != nil {
			return err
		}
		if ok {
			e.set(v.Name, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.services)) {
		if _, taken := e.values[name]; !taken {
			e.set(name, e.services[name])
		}
	}
	return nil
}

func (e *environment) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

// list is the environment in the engine's form.
func (e *environment) list() []string {
	var out []string
	for _, name := range e.names {
		out = append(out, name+"="+e.values[name])
	}
	return out
}

// known are the values that $(NAME) may stand for.
func (e *environment) known() map[string]string {
	known := maps.Clone(e.services)
	maps.Copy(known, e.values)
	return known
}

// source reads a whole ConfigMap or Secret; nothing where it may be missing.
func (e *environment) source(ctx context.Context, from corev1.EnvFromSource) (map[string]string, error) {
	switch {
	case from.ConfigMapRef != nil:
		data, err := e.objects.configMap(ctx, from.ConfigMapRef.Name)
		return data, unless(isTrue(from.ConfigMapRef.Optional), err)
	case from.SecretRef != nil:
		data, err := e.objects.secret(ctx, from.SecretRef.Name)
		return data, unless(isTrue(from.SecretRef.Optional), err)
	}
	return nil, nil
}

// unless forgives that an object which may be missing is.
func unless(optional bool, err error) error {
	if optional && apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// value is what one variable is set to; ok is false where it stays unset.
func (e *environment) value(ctx context.Context, v corev1.EnvVar) (value string, ok bool, err error) {
	from := v.ValueFrom
	switch {
	case from == nil:
		return expand(v.Value, e.known()), true, nil
	case from.FieldRef != nil:
		value, err = e.field(e.pod, from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		value, err = e.resource(e.pod, e.c, from.ResourceFieldRef)
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		data, err := e.objects.configMap(ctx, ref.Name)
		return e.pick(data, ref.Key, isTrue(ref.Optional), err, "ConfigMap "+e.pod.Namespace+"/"+ref.Name)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		data, err := e.objects.secret(ctx, ref.Name)
		return e.pick(data, ref.Key, isTrue(ref.Optional), err, "Secret "+e.pod.Namespace+"/"+ref.Name)
	}
	return value, err == nil, err
}

func (e *environment) pick(data map[string]string, key string, optional bool, err error, where string) (string, bool, error) {
	if err := unless(optional, err); err != nil {
		return "", false, err
	}
	value, ok := data[key]
	if !ok && !optional {
		return "", false, fmt.Errorf("couldn't find key %s in %s", key, where)
	}
	return value, ok, nil
}
