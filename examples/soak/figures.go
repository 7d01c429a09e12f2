package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/client-go/kubernetes"

	"skiff/orchestrator"
)

// figures are what the two processes use that forward.
type figures struct{ daemon, gateway process }

// process is what one uses; -1 is what cannot be seen. The heap is what its objects
// take, those included that nobody has noticed yet to be garbage.
type process struct{ goroutines, descriptors, megabytes, heap int }

func (p process) String() string {
	return fmt.Sprintf("%s goroutines, %s descriptors, %d MB, %s MB of heap",
		number(p.goroutines), number(p.descriptors), p.megabytes, number(p.heap))
}

func number(n int) string {
	if n < 0 {
		return "?"
	}
	return strconv.Itoa(n)
}

// look knows where to find the figures.
type look struct {
	client          *kubernetes.Clientset
	daemon, gateway int // process numbers
}

func newLook(ctx context.Context, i instance) (*look, error) {
	client, err := i.client()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(orchestrator.PathsIn(i.dataDir).PID)
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "docker", "inspect", "--format", "{{.State.Pid}}", "skiff-gateway-"+i.name).Output()
	if err != nil {
		return nil, fmt.Errorf("find the gateway's process: %w", err)
	}
	l := &look{client: client}
	var errs [2]error
	l.daemon, errs[0] = strconv.Atoi(string(bytes.TrimSpace(text)))
	l.gateway, errs[1] = strconv.Atoi(string(bytes.TrimSpace(out)))
	return l, errors.Join(errs[:]...)
}

func (l *look) now(ctx context.Context) (figures, error) {
	daemon, err := processOf(l.daemon)
	if err != nil {
		return figures{}, err
	}
	gateway, err := processOf(l.gateway)
	if err != nil {
		return figures{}, err
	}
	metrics, err := l.metrics(ctx)
	if err != nil {
		return figures{}, err
	}
	count := func(name string, unit float64) int {
		if value, seen := metrics[name]; seen {
			return int(value / unit)
		}
		return -1
	}
	daemon.goroutines, daemon.heap = count("go_goroutines", 1), count("go_memstats_heap_alloc_bytes", 1<<20)
	gateway.goroutines, gateway.heap = count("skiff_gateway_goroutines", 1), count("skiff_gateway_heap_objects_bytes", 1<<20)
	return figures{daemon, gateway}, nil
}

func processOf(pid int) (process, error) {
	p := process{descriptors: -1}
	// Another user's may not be listed.
	if open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
		p.descriptors = len(open)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return p, fmt.Errorf("look at a process of the instance, which has ended: %w", err)
	}
	_, rest, _ := strings.Cut(string(status), "\nVmRSS:")
	if _, err := fmt.Sscan(rest, &p.megabytes); err != nil {
		return p, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	p.megabytes >>= 10
	return p, nil
}

// metrics are those of the daemon, which tell of the gateway as well, that have no
// labels.
func (l *look) metrics(ctx context.Context) (map[string]float64, error) {
	text, err := l.client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	found := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			found[name] = v
		}
	}
	return found, nil
}

// memoryPatience is for what is let go late: a Go program that does nothing
// collects its garbage every two minutes.
const memoryPatience = 5 * time.Minute

// settled replaces all Pods once more, with which connections to the old ones
// go, and waits until nothing is left over, but no longer than memoryPatience.
func (l *look) settled(ctx context.Context, i instance, before figures) (after figures, err error) {
	if err := i.replaceAll(ctx); err != nil {
		return after, err
	}
	limit := time.NewTimer(memoryPatience)
	defer limit.Stop()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		after, err = l.now(ctx)
		if err != nil || leaks(before, after) == nil {
			return after, err
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return after, nil
		case <-ctx.Done():
			return after, ctx.Err()
		}
	}
}

// slack is how many goroutines or descriptors more there may be after than
// before: informers, watches and kept connections come and go.
const slack = 50

// leftOver says what is there that was not there before any connection was.
func leftOver(before, after process) error {
	var errs []error
	if after.goroutines < 0 || after.heap < 0 {
		errs = append(errs, errors.New("the metrics do not tell of it"))
	}
	if after.goroutines > before.goroutines+slack {
		errs = append(errs, fmt.Errorf("%d goroutines, before %d", after.goroutines, before.goroutines))
	}
	if after.descriptors > before.descriptors+slack {
		errs = append(errs, fmt.Errorf("%d descriptors, before %d", after.descriptors, before.descriptors))
	}
	// What the API remembers, to tell watches of it, is little more than 30 MB. How
	// much memory the system has lent is another matter: it comes back late, and
	// what a few objects hold in between does not.
	if limit := before.heap*2 + 32; after.heap > limit {
		errs = append(errs, fmt.Errorf("%d MB of the heap, before %d", after.heap, before.heap))
	}
	return errors.Join(errs...)
}

func leaks(before, after figures) error {
	var errs []error
	for _, p := range []struct {
		name          string
		before, after process
	}{{"daemon", before.daemon, after.daemon}, {"gateway", before.gateway, after.gateway}} {
		if err := leftOver(p.before, p.after); err != nil {
			errs = append(errs, fmt.Errorf("the %s leaks: %w", p.name, err))
		}
	}
	return errors.Join(errs...)
}

func tell(before, loaded, after figures, c *clients) {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\tGOROUTINES\tDESCRIPTORS\tMB\tHEAP")
	row := func(name string, p process) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", name, number(p.goroutines), number(p.descriptors), p.megabytes, number(p.heap))
	}
	row("daemon before", before.daemon)
	row("daemon under load, after the first rollout", loaded.daemon)
	row("daemon after", after.daemon)
	row("gateway before", before.gateway)
	row("gateway under load, after the first rollout", loaded.gateway)
	row("gateway after", after.gateway)
	w.Flush()
	fmt.Println(c)
}
