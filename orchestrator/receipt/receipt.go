// Package receipt writes down, after each rollout of a Deployment, what became
// of the requests meanwhile: as an event of the Deployment and as an annotation
// of the ReplicaSet that it rolled out.
package receipt

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"skiff/orchestrator/rollout"
	"skiff/proxy/pool"
	"skiff/proxy/switchboard"
)

// Receipt tells how one rollout went. Without Ended it is under way still.
type Receipt struct {
	Deployment string     `json:"deployment"`
	From       int64      `json:"from,omitempty"` // revision; 0: it is the first
	Revision   int64      `json:"revision,omitempty"`
	Began      time.Time  `json:"began"`
	Ended      *time.Time `json:"ended,omitempty"`
	// Partial: skiff was started anew meanwhile, and counted from then on.
	Partial bool `json:"partial,omitempty"`

	Requests     uint64            `json:"requests"`
	Lost         uint64            `json:"lost"` // got no good answer although the client did all it had to
	Retried      uint64            `json:"retried"`
	ServerErrors uint64            `json:"serverErrors"` // the application answered 5xx
	Failures     map[string]uint64 `json:"failures,omitempty"`
	Faults       map[string]uint64 `json:"faults,omitempty"` // the same, by whose doing it was

	Held              uint64  `json:"held"`
	LongestHoldMillis float64 `json:"longestHoldMilliseconds,omitempty"`

	Drained map[string]uint64 `json:"drained,omitempty"` // streams, by kind
	Cut     map[string]uint64 `json:"cut,omitempty"`

	P99Millis       float64 `json:"p99Milliseconds,omitempty"`
	P99BeforeMillis float64 `json:"p99BeforeMilliseconds,omitempty"`

	Text string `json:"text,omitempty"` // all of it in one line, at the end
}

// Of reads the receipt of a ReplicaSet. There is none where the ReplicaSet was
// made by something else than skiff, or its rollout is one of before.
func Of(rs *appsv1.ReplicaSet) (Receipt, bool) {
	var r Receipt
	text, ok := rs.Annotations[rollout.ReceiptAnnotation]
	if !ok || json.Unmarshal([]byte(text), &r) != nil || r.Began.IsZero() {
		return Receipt{}, false
	}
	if r.Ended != nil && r.Revision != rollout.Revision(rs) {
		return Receipt{}, false
	}
	return r, true
}

// Took is how long the rollout took, from the change of the template to the end
// of the last old Pod's traffic.
func (r Receipt) Took() time.Duration {
	if r.Ended == nil {
		return 0
	}
	return r.Ended.Sub(r.Began)
}

// count fills in what was counted between two moments at the Services that lead
// to some ReplicaSets, given by their names; from is that of the one before.
func (r *Receipt) count(begin, end switchboard.Counts, namespace string, sets []string, from string) {
	var now pool.Tally
	var before pool.Histogram
	for service, ports := range end {
		if !strings.HasPrefix(service, namespace+"/") {
			continue
		}
		for port, counts := range ports {
			earlier := begin[service][port].Revisions
			leads := false
			for _, set := range sets {
				tally, ok := counts.Revisions[set]
				leads = leads || ok
				now = now.Plus(tally.Minus(earlier[set]))
			}
			if leads { // what reached no Pod may have been meant for these
				now = now.Plus(counts.Revisions[""].Minus(earlier[""]))
				before = before.Plus(earlier[from].Took)
			}
		}
	}
	r.Requests, r.Lost, r.Retried, r.ServerErrors = now.Requests(), now.Lost(), now.Retried, now.Answered[5]
	for _, cause := range pool.Causes() {
		add(&r.Failures, cause.String(), now.Failures[cause])
		add(&r.Faults, cause.Fault(), now.Failures[cause])
	}
	for _, kind := range pool.Streams() {
		add(&r.Drained, kind.String(), now.Drained[kind])
		add(&r.Cut, kind.String(), now.Cut[kind])
	}
	r.Held, r.LongestHoldMillis = now.Held.Count(), millis(now.Held.Quantile(1))
	r.P99Millis, r.P99BeforeMillis = millis(now.Took.Quantile(0.99)), millis(before.Quantile(0.99))
}

func add(to *map[string]uint64, key string, n uint64) {
	if n == 0 {
		return
	}
	if *to == nil {
		*to = map[string]uint64{}
	}
	(*to)[key] += n
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// String is the receipt in one line.
func (r Receipt) String() string {
	var parts []string
	part := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if r.From > 0 {
		part("%s %d → %d", r.Deployment, r.From, r.Revision)
	} else {
		part("%s %d", r.Deployment, r.Revision)
	}
	part("%s", span(r.Took()))
	part("%s", r.requests())
	if r.Held > 0 {
		part("held %s (%s at most)", grouped(r.Held), span(fromMillis(r.LongestHoldMillis)))
	} else {
		part("held 0")
	}
	for _, kind := range pool.Streams() {
		if text := ended(r.Drained[kind.String()], r.Cut[kind.String()]); text != "" {
			part("%s %s", kind, text)
		}
	}
	if r.P99Millis > 0 {
		p99 := "p99 " + span(fromMillis(r.P99Millis))
		if r.P99BeforeMillis > 0 {
			p99 += " (before " + span(fromMillis(r.P99BeforeMillis)) + ")"
		}
		part("%s", p99)
	}
	if r.Partial {
		part("counted since skiff was started anew")
	}
	return strings.Join(parts, " | ")
}

func (r Receipt) requests() string {
	text := grouped(r.Requests) + " requests, " + grouped(r.Lost) + " lost"
	if r.Requests == 1 {
		text = "1 request, " + grouped(r.Lost) + " lost"
	}
	var whose []string
	for _, fault := range []string{"application", "probe", "proxy"} {
		if n := r.Faults[fault]; n > 0 {
			whose = append(whose, fault+" "+grouped(n))
		}
	}
	if len(whose) > 0 {
		text += " (" + strings.Join(whose, ", ") + ")"
	}
	text += ", " + grouped(r.Retried) + " retried"
	if r.ServerErrors > 0 {
		text += ", " + grouped(r.ServerErrors) + " answered 5xx"
	}
	return text
}

func ended(drained, cut uint64) string {
	var text []string
	if drained > 0 {
		text = append(text, grouped(drained)+" drained")
	}
	if cut > 0 {
		text = append(text, grouped(cut)+" cut")
	}
	return strings.Join(text, ", ")
}

func fromMillis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// span is a duration as precise as one reads it.
func span(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond && d%time.Millisecond != 0:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < 950*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
}

// grouped writes thousands apart.
func grouped(n uint64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
