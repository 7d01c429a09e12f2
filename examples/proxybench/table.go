package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// print writes the medians, and skiff's beside those of its rivals.
func print(w io.Writer, p plan, results map[key][]result) {
	fmt.Fprintf(w, "medians of %d rounds of %s; %d connections; CPU: the proxy's seconds per 100,000 requests\n\n",
		p.rounds, p.duration, connections)
	fmt.Fprintf(w, "%-16s %-8s %10s %10s %8s %9s %12s %8s\n", "case", "through", "req/s", "of direct", "CPU", "peak MB", "added p50", "idle KB")
	for _, name := range p.cases {
		for _, who := range []string{"direct", "nginx", "haproxy", "skiff"} {
			all := results[key{name, who}]
			if len(all) == 0 {
				continue
			}
			direct := results[key{name, "direct"}]
			fmt.Fprintf(w, "%-16s %-8s %10s %10s %8s %9s %12s %8s\n", name, who,
				figure("%.0f", median(all, rate)), figure("%.2f", ratio(all, direct, rate)),
				figure("%.2f", median(all, cpu)), figure("%.1f", median(all, peak)),
				added(name, all, direct), figure("%.1f", median(all, idleKB)))
		}
	}
	fmt.Fprintln(w)
	targets(w, results)
}

// targets says how far skiff is from what it is meant to reach.
func targets(w io.Writer, results map[key][]result) {
	of := func(name, who string) []result { return results[key{name, who}] }
	compare := func(what, name, rival string, of func(result) float64, target string) {
		ours, theirs := results[key{name, "skiff"}], results[key{name, rival}]
		if len(ours) > 0 && len(theirs) > 0 {
			fmt.Fprintf(w, "%-52s %6.2f of %s's, target %s\n", what, ratio(ours, theirs, of), rival, target)
		}
	}
	compare("requests per second, 100 B", small, "nginx", rate, "0.9 or more")
	compare("requests per second, 10 KB", medium, "nginx", rate, "0.9 or more")
	compare("requests per second, a new connection each", fresh, "nginx", rate, "0.95 or more")
	compare("requests per second, 1 MB", large, "nginx", rate, "1 or more")
	compare("CPU per request, 100 B", small, "nginx", cpu, "1.25 or less")
	compare("CPU per request, 10 KB", medium, "nginx", cpu, "1.25 or less")
	compare("requests per second, TCP", overTCP, "haproxy", rate, "1 or more")
	compare(fmt.Sprintf("p50 of small answers beside %d streams, TCP", streams), beside, "haproxy", p50, "1 or less")
	if ours := of(open, "skiff"); len(ours) > 0 {
		more := differences(ours, of(open, "nginx"))
		fmt.Fprintf(w, "%-52s %6d µs more than nginx, target 20 or less\n", "p50 at 3,000 requests per second", more.Microseconds())
	}
	if ours := of(small, "skiff"); len(ours) > 0 {
		fmt.Fprintf(w, "%-52s %6.1f MB, target 30 or less\n", "peak memory at 64 connections, 100 B", median(ours, peak))
	}
	if ours := of(idle, "skiff"); len(ours) > 0 {
		fmt.Fprintf(w, "%-52s %6.1f KB, target 40 or less\n", "memory of an idle connection", median(ours, idleKB))
	}
}

func rate(r result) float64   { return r.rate }
func cpu(r result) float64    { return r.cpu }
func peak(r result) float64   { return r.peakMB }
func p50(r result) float64    { return float64(r.median) }
func idleKB(r result) float64 { return r.idleKB }

func median(all []result, of func(result) float64) float64 {
	values := make([]float64, len(all))
	for i, r := range all {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// ratio is the median of the ratios within the rounds: between them, the
// machine's speed changes.
func ratio(ours, theirs []result, of func(result) float64) float64 {
	values := make([]float64, min(len(ours), len(theirs)))
	for i := range values {
		if d := of(theirs[i]); d > 0 {
			values[i] = of(ours[i]) / d
		}
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// differences is the median of what ours wait longer.
func differences(ours, theirs []result) time.Duration {
	values := make([]time.Duration, min(len(ours), len(theirs)))
	for i := range values {
		values[i] = ours[i].median - theirs[i].median
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func added(name string, all, direct []result) string {
	if name != open && name != beside {
		return ""
	}
	return fmt.Sprintf("%d µs", differences(all, direct).Microseconds())
}

func figure(format string, v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}
