package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const logChunk = 32 << 10

// podLog streams what a container has written, and with follow what it writes.
func (s *Server) podLog(r *request) error {
	options, err := parseLogOptions(r.query)
	if err != nil {
		return err
	}
	found, err := s.read(r.kind, r.namespace, r.name)
	if err != nil {
		return err
	}
	pod := found.object.DeepCopyObject().(*corev1.Pod)
	if options.Container, err = chooseContainer(pod, options.Container); err != nil {
		return err
	}
	if s.logs == nil {
		return apierrors.NewServiceUnavailable("there is no source of logs")
	}
	ctx, done := s.stream(r)
	defer done()
	logs, err := s.logs.Logs(ctx, pod, options)
	if err != nil {
		return err
	}
	// Reading may be waiting for the container to write: closing ends that.
	stop := context.AfterFunc(ctx, func() { _ = logs.Close() })
	defer func() {
		if stop() {
			_ = logs.Close()
		}
	}()
	var from io.Reader = logs
	if options.LimitBytes != nil {
		from = io.LimitReader(logs, *options.LimitBytes)
	}
	s.beginStream(r, "text/plain")
	if err := s.copyFlushing(r, from); err != nil && ctx.Err() == nil {
		s.log.Debug("log stream ended", "pod", r.namespace+"/"+r.name, "container", options.Container, "error", err)
	}
	return nil
}

// copyFlushing sends each piece as it comes: who follows a log waits for it.
func (s *Server) copyFlushing(r *request, from io.Reader) error {
	control := http.NewResponseController(r.w)
	if err := control.Flush(); err != nil {
		return err
	}
	chunk := make([]byte, logChunk)
	for {
		n, readErr := from.Read(chunk)
		if n > 0 {
			if err := s.timely(r, func() error {
				if _, err := r.w.Write(chunk[:n]); err != nil {
					return err
				}
				return control.Flush()
			}); err != nil {
				return err
			}
		}
		if errors.Is(readErr, io.EOF) {
			return nil
		}
		if readErr != nil {
			return readErr
		}
	}
}

// chooseContainer finds the container that a client means: the one it names,
// else the only regular one.
func chooseContainer(pod *corev1.Pod, wanted string) (string, error) {
	if wanted == "" && len(pod.Spec.Containers) == 1 {
		return pod.Spec.Containers[0].Name, nil
	}
	var all []string
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		all = append(all, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		all = append(all, c.Name)
	}
	switch {
	case wanted == "":
		return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %v", pod.Name, all))
	case slices.Contains(all, wanted):
		return wanted, nil
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", wanted, pod.Name))
}

func parseLogOptions(query url.Values) (*corev1.PodLogOptions, error) {
	o := &corev1.PodLogOptions{Container: query.Get("container")}
	var errs field.ErrorList
	for name, target := range map[string]*bool{"follow": &o.Follow, "previous": &o.Previous, "timestamps": &o.Timestamps} {
		flag, err := boolParameter(query, name)
		if err != nil {
			return nil, err
		}
		*target = flag
	}
	for name, target := range map[string]struct {
		value *(*int64)
		least int64
	}{"tailLines": {&o.TailLines, 0}, "limitBytes": {&o.LimitBytes, 1}, "sinceSeconds": {&o.SinceSeconds, 1}} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		number, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("parse %s %q: not a number", name, text))
		}
		if number < target.least {
			errs = append(errs, field.Invalid(field.NewPath(name), number, fmt.Sprintf("must be greater than or equal to %d", target.least)))
		}
		*target.value = &number
	}
	if text := query.Get("sinceTime"); text != "" {
		since, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("parse sinceTime %q: not an RFC 3339 time", text))
		}
		o.SinceTime = &metav1.Time{Time: since}
		if o.SinceSeconds != nil {
			errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
		}
	}
	if stream := query.Get("stream"); stream != "" && !strings.EqualFold(stream, corev1.LogStreamAll) {
		errs = append(errs, field.NotSupported(field.NewPath("stream"), stream, []string{corev1.LogStreamAll}))
	}
	if len(errs) > 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("PodLogOptions").GroupKind(), "", errs)
	}
	return o, nil
}
