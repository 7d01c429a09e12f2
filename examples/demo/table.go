package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"skiff/examples/load"
)

// table is what the demo ends with.
type table struct {
	rollouts []rollout
	web      *load.Result
	mongo    *clientReport
}

type rollout struct {
	name string
	took time.Duration
	note string
}

func (t *table) add(name string, took time.Duration, note string) {
	t.rollouts = append(t.rollouts, rollout{name, took, note})
}

func (t *table) print(w io.Writer) {
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, "ROLLOUT\tTIME\t")
	for _, r := range t.rollouts {
		fmt.Fprintf(tw, "%s\t%.1f s\t%s\n", r.name, r.took.Seconds(), r.note)
	}
	fmt.Fprintln(tw, "\t\t")
	fmt.Fprintln(tw, "LOAD\tREQUESTS\tFAILURES\tLONGEST WAIT\tANSWERED BY")
	byVersion := t.web.ByVersion()
	var versions []string
	for _, v := range slices.Sorted(maps.Keys(byVersion)) {
		versions = append(versions, fmt.Sprintf("version %s: %d", v, byVersion[v]))
	}
	fmt.Fprintf(tw, "web\t%d\t%d\t%d ms\t%s\n", t.web.Requests(), len(t.web.Failures()),
		t.web.Quantile(1).Milliseconds(), strings.Join(versions, ", "))
	fmt.Fprintf(tw, "mongo\t%d writes, %d found\t%d\t%d ms\tversions %s\n", t.mongo.Acknowledged, t.mongo.Found,
		t.mongo.Failed, t.mongo.LongestWaitMs, strings.Join(t.mongo.Versions, ", "))
	tw.Flush()
	for _, s := range t.web.Failures()[:min(5, len(t.web.Failures()))] {
		fmt.Fprintf(w, "lost at %s: %v\n", s.Due.Format("15:04:05.000"), s.Err)
	}
	for _, e := range t.mongo.Errors {
		fmt.Fprintln(w, "write failed at", e)
	}
	fmt.Fprintln(w)
}

// verdict is an error where the demo did not show what it is there to show.
func (t *table) verdict() error {
	var errs []error
	if n := len(t.web.Failures()); n > 0 {
		errs = append(errs, fmt.Errorf("%d of %d requests failed", n, t.web.Requests()))
	}
	byVersion := t.web.ByVersion()
	if byVersion["1"] == 0 || byVersion["2"] == 0 || byVersion["broken"] > 0 {
		errs = append(errs, fmt.Errorf("answers came from versions %v", byVersion))
	}
	if t.mongo.Failed > 0 || t.mongo.Found != t.mongo.Acknowledged {
		errs = append(errs, fmt.Errorf("%d writes failed; %d of %d documents found", t.mongo.Failed, t.mongo.Found, t.mongo.Acknowledged))
	}
	if len(t.mongo.Versions) != 2 {
		errs = append(errs, fmt.Errorf("the database was met in versions %v, not in two", t.mongo.Versions))
	}
	return errors.Join(errs...)
}
