package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/polymorphichelpers"
)

func (p *program) logs() *cobra.Command {
	return spec{
		name:  "logs",
		short: "print what containers have written",
		args:  "POD [CONTAINER] | TYPE/NAME | -l LABELS",
		examples: examples(
			"skiff logs deployment/web --tail=20",
			"skiff logs -f web-6f89cd886-x2x7q",
			"skiff logs -p -c db go-demo-2-db-6f89cd886-4zzcn     of the container before the restart",
			"skiff logs -l app=web --prefix"),
		flags: func(f *flags) {
			f.Bool("follow", "f", false, "go on with what is written from now on")
			f.String("container", "c", "", "of this `CONTAINER` (default: the first)")
			f.Bool("all-containers", "", false, "of all containers")
			f.Bool("all-pods", "", false, "of all Pods, each line with its Pod in front")
			f.Bool("previous", "p", false, "of the container before its last restart")
			f.Int64("tail", -1, "only the last `LINES` (default: all; 10 with -l)")
			f.Duration("since", 0, "only what is younger than this `LONG`: 5s, 2m, 3h")
			f.String("since-time", "", "", "only what is younger than this `TIME`: 2026-01-02T15:04:05Z")
			f.Int64("limit-bytes", 0, "at most this many `BYTES`")
			f.Bool("timestamps", "", false, "with the time of each line")
			f.Bool("prefix", "", false, "with Pod and container in front of each line")
			f.Duration("pod-running-timeout", 20*time.Second, "wait this `LONG` for a Pod to be there")
			selectorFlag(f)
		},
		run: p.runLogs,
	}.command()
}

func (p *program) runLogs(c *call) error {
	options, err := logOptions(c)
	if err != nil {
		return c.usage(err.Error())
	}
	conn, err := p.connect(c)
	if err != nil {
		return err
	}
	obj, err := loggingObject(c, conn)
	if err != nil {
		return err
	}
	if list, ok := obj.(*corev1.PodList); ok && len(list.Items) == 0 {
		namespace, _, err := conn.namespace()
		printf(p.ErrOut, "No resources found in %s namespace.\n", namespace)
		return err
	}
	requests := polymorphichelpers.LogsForObjectFn
	if c.Bool("all-pods") {
		requests = polymorphichelpers.LogsForObjectFunc(polymorphichelpers.AllPodLogsForObjectFn)
	}
	streams, err := requests(conn, obj, options, c.Duration("pod-running-timeout"), c.Bool("all-containers"))
	if err != nil {
		return err
	}
	return p.printLogs(c.ctx, streams, options.Follow, c.Bool("prefix") || c.Bool("all-pods"))
}

func logOptions(c *call) (*corev1.PodLogOptions, error) {
	args, selector := c.args, c.String("selector")
	options := &corev1.PodLogOptions{
		Container: c.String("container"), Follow: c.Bool("follow"), Previous: c.Bool("previous"), Timestamps: c.Bool("timestamps"),
	}
	switch {
	case len(args) == 0 && selector == "", len(args) > 2:
		return nil, errors.New("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'")
	case len(args) > 0 && selector != "":
		return nil, errors.New("only a selector (-l) or a POD name is allowed")
	case len(args) == 2 && options.Container != "":
		return nil, errors.New("only one of -c or an inline [CONTAINER] arg is allowed")
	case c.IsSet("since") && c.IsSet("since-time"):
		return nil, errors.New("at most one of --since-time and --since may be used")
	case c.Bool("all-containers") && (options.Container != "" || len(args) == 2):
		return nil, errors.New("--all-containers should not be specified with a container name")
	case c.Int64("tail") < -1:
		return nil, errors.New("--tail must be greater than or equal to -1")
	case c.Duration("since") < 0:
		return nil, errors.New("--since must be greater than 0")
	case c.Int64("limit-bytes") < 0:
		return nil, errors.New("--limit-bytes must be greater than 0")
	}
	if len(args) == 2 {
		options.Container = args[1]
	}
	if tail := c.Int64("tail"); tail >= 0 {
		options.TailLines = &tail
	} else if selector != "" && !c.IsSet("tail") {
		ten := int64(10)
		options.TailLines = &ten
	}
	if limit := c.Int64("limit-bytes"); limit > 0 {
		options.LimitBytes = &limit
	}
	return options, setSince(c, options)
}

func setSince(c *call, options *corev1.PodLogOptions) error {
	if since := c.Duration("since"); since > 0 {
		seconds := int64((since + time.Second - 1) / time.Second)
		options.SinceSeconds = &seconds
	}
	if text := c.String("since-time"); text != "" {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return fmt.Errorf("--since-time: %w", err)
		}
		options.SinceTime = &metav1.Time{Time: t}
	}
	return nil
}

// loggingObject is the object whose logs are asked for: a Pod, something that
// has Pods, or the list of those that a selector finds.
func loggingObject(c *call, conn *connection) (runtime.Object, error) {
	namespace, _, err := conn.namespace()
	if err != nil {
		return nil, err
	}
	b := typed(conn.builder()).NamespaceParam(namespace).DefaultNamespace().SingleResourceType()
	if selector := c.String("selector"); selector != "" {
		b.ResourceTypes("pods").LabelSelectorParam(selector)
	} else {
		b.ResourceNames("pods", c.args[0])
	}
	infos, err := b.Do().Infos()
	if err != nil {
		return nil, err
	}
	if len(infos) != 1 {
		return nil, errors.New("expected one resource")
	}
	return infos[0].Object, nil
}

// maxStreams is how many logs are followed at a time, as with kubectl.
const maxStreams = 5

func (p *program) printLogs(ctx context.Context, streams map[corev1.ObjectReference]rest.ResponseWrapper, follow, prefix bool) error {
	if follow && len(streams) > maxStreams {
		return fmt.Errorf("cannot follow %d logs at a time, at most %d: choose fewer Pods or containers", len(streams), maxStreams)
	}
	byName := func(a, b corev1.ObjectReference) int { return strings.Compare(a.Name+a.FieldPath, b.Name+b.FieldPath) }
	out := &lineWriter{out: p.Out}
	if !follow {
		for _, ref := range slices.SortedFunc(maps.Keys(streams), byName) {
			if err := copyLines(ctx, streams[ref], out, linePrefix(ref, prefix)); err != nil {
				return err
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	errs := make(chan error, len(streams))
	for ref, stream := range streams {
		wg.Go(func() { errs <- copyLines(ctx, stream, out, linePrefix(ref, prefix)) })
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		if err != nil && ctx.Err() == nil {
			all = append(all, err)
		}
	}
	return utilerrors.NewAggregate(all)
}

// linePrefix names a log's source. The container stands in the reference's field
// path, as spec.containers{NAME}.
func linePrefix(ref corev1.ObjectReference, wanted bool) string {
	if !wanted {
		return ""
	}
	_, container, _ := strings.Cut(ref.FieldPath, "{")
	return fmt.Sprintf("[pod/%s/%s] ", ref.Name, strings.TrimSuffix(container, "}"))
}

// lineWriter keeps the lines of several logs from mixing.
type lineWriter struct {
	mu  sync.Mutex // is held for a line
	out io.Writer
}

func (w *lineWriter) write(prefix string, line []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if prefix != "" {
		line = append([]byte(prefix), line...)
	}
	_, err := w.out.Write(line)
	return err
}

func copyLines(ctx context.Context, request rest.ResponseWrapper, out *lineWriter, prefix string) error {
	stream, err := request.Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	lines := bufio.NewReaderSize(stream, 64<<10)
	middle := false
	for {
		// A line beyond the buffer comes in parts; only its first gets the prefix.
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			lead := prefix
			if middle {
				lead = ""
			}
			if err := out.write(lead, line); err != nil {
				return err
			}
		}
		middle = errors.Is(err, bufio.ErrBufferFull)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !middle:
			return err
		}
	}
}
