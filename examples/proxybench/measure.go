package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"time"

	"skiff/examples/load"
)

// Names of the cases, in the order of the table.
const (
	small   = "100B"
	medium  = "10KB"
	fresh   = "new-connections"
	large   = "1MB"
	open    = "open-loop"
	overTCP = "tcp"
	beside  = "tcp-beside-1MB" // one connection's small answers, while streams carry large ones
	idle    = "idle-memory"
)

var allCases = []string{small, medium, fresh, large, open, overTCP, beside, idle}

const (
	connections     = 64
	streams         = 8
	openRate        = 3000
	idleConnections = 10_000
)

// result is one measurement. What a case does not measure is 0.
type result struct {
	rate   float64 // requests per second
	cpu    float64 // seconds per 100,000 requests
	peakMB float64
	median time.Duration
	idleKB float64 // for each idle connection
}

type key struct{ name, contestant string }

// measureAll has the contestants take turns, in another order in each round.
func measureAll(ctx context.Context, s *stage, p plan) (map[key][]result, error) {
	results := map[key][]result{}
	for round := range p.rounds {
		for _, name := range p.cases {
			who := s.http
			if name == overTCP || name == beside {
				who = s.tcp
			}
			for i := range who {
				c := who[(i+round)%len(who)]
				// HAProxy's share of descriptors is too small for the idle ones.
				// They come last: memory that was used once stays.
				if name == idle && (c.name != "nginx" && c.name != "skiff" || round < p.rounds-1) {
					continue
				}
				r, err := measure(ctx, name, c, p.duration)
				if err != nil {
					return nil, fmt.Errorf("%s through %s: %w", name, c.name, err)
				}
				results[key{name, c.name}] = append(results[key{name, c.name}], r)
			}
		}
	}
	return results, nil
}

func measure(ctx context.Context, name string, c contestant, d time.Duration) (r result, err error) {
	if name == idle {
		r.idleKB, err = idleMemory(ctx, c)
		return r, err
	}
	var before time.Duration
	if c.process != nil {
		if err := c.process.forget(); err != nil {
			return r, err
		}
		if before, err = c.process.cpu(); err != nil {
			return r, err
		}
	}
	requests := 0
	switch name {
	case open:
		requests, r.median, err = openLoop(ctx, c.address, d)
	case beside:
		r.rate, r.median, err = besideStreams(ctx, c.address, d)
	default:
		requests, r.rate, err = closedLoop(ctx, name, c.address, d)
	}
	if err != nil || c.process == nil {
		return r, err
	}
	after, err := c.process.cpu()
	if err != nil {
		return r, err
	}
	if requests > 0 { // and nothing else took its time
		r.cpu = (after - before).Seconds() * 100_000 / float64(requests)
	}
	peak, err := c.process.memory("VmHWM")
	r.peakMB = float64(peak) / 1024
	return r, err
}

var (
	requestsLine = regexp.MustCompile(`(\d+) requests in`)
	rateLine     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	medianLine   = regexp.MustCompile(`50%\s+([\d.]+[mu]?s)`)
	errorLines   = regexp.MustCompile(`Non-2xx.*|Socket errors.*`)
)

// closedLoop puts on as much load as 64 connections carry.
func closedLoop(ctx context.Context, name, address string, d time.Duration) (requests int, rate float64, err error) {
	size := map[string]int{small: 100, medium: 10 << 10, fresh: 100, large: 1 << 20, overTCP: 100}[name]
	var more []string
	if name == fresh {
		more = []string{"-H", "Connection: close"}
	}
	r, err := wrk(ctx, address, size, connections, d, more...)
	return r.requests, r.rate, err
}

// besideStreams asks for small answers on one connection while others carry as
// much as they can. Of the small ones it gives the rate and the median time.
func besideStreams(ctx context.Context, address string, d time.Duration) (rate float64, median time.Duration, err error) {
	var beside sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	streaming := make(chan error, 1)
	beside.Go(func() {
		_, err := wrk(ctx, address, 1<<20, streams, 2*d) // until the others have ended
		streaming <- err
	})
	defer beside.Wait()
	defer stop()
	r, err := wrk(ctx, address, 100, 1, d)
	select {
	case err := <-streaming:
		return 0, 0, fmt.Errorf("the streams have ended: %w", err)
	default:
		return r.rate, r.median, err
	}
}

// measured is what wrk tells.
type measured struct {
	requests int
	rate     float64
	median   time.Duration
}

// wrk has connections ask for size bytes again and again.
func wrk(ctx context.Context, address string, size, connections int, d time.Duration, more ...string) (m measured, err error) {
	args := append([]string{"-t", strconv.Itoa(min(2, connections)), "-c", strconv.Itoa(connections), "-d", d.String(), "--latency"}, more...)
	out, err := exec.CommandContext(ctx, "wrk", append(args, fmt.Sprintf("http://%s/%d", address, size))...).CombinedOutput()
	if err != nil {
		return m, fmt.Errorf("wrk: %w: %s", err, out)
	}
	if lost := errorLines.Find(out); lost != nil {
		return m, fmt.Errorf("requests failed: %s", lost)
	}
	all := make([]string, 0, 3)
	for _, line := range []*regexp.Regexp{requestsLine, rateLine, medianLine} {
		found := line.FindSubmatch(out)
		if found == nil {
			return m, fmt.Errorf("no figures from wrk: %s", out)
		}
		all = append(all, string(found[1]))
	}
	m.requests, _ = strconv.Atoi(all[0])
	if m.rate, err = strconv.ParseFloat(all[1], 64); err == nil {
		m.median, err = time.ParseDuration(all[2])
	}
	return m, err
}

// openLoop sends requests when they are due, and counts from then on.
func openLoop(ctx context.Context, address string, d time.Duration) (requests int, median time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	r := load.Run(ctx, load.Options{Address: address, Path: "/100", Rate: openRate, Conns: connections}, nil)
	if failures := r.Failures(); len(failures) > 0 {
		return 0, 0, fmt.Errorf("%d requests failed, one with %w", len(failures), failures[0].Err)
	}
	return r.Requests(), r.Quantile(0.5), nil
}

// idleMemory opens connections that have carried a request each, and gives what
// one of them costs while it waits for the next.
func idleMemory(ctx context.Context, c contestant) (kilobytes float64, err error) {
	before, err := c.process.memory("VmRSS")
	if err != nil {
		return 0, err
	}
	var dialer net.Dialer
	for range idleConnections {
		conn, err := dialer.DialContext(ctx, "tcp", c.address)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /100 HTTP/1.1\r\nHost: bench\r\n\r\n"); err != nil {
			return 0, err
		}
		answer, err := http.ReadResponse(bufio.NewReaderSize(conn, 1024), nil)
		if err != nil {
			return 0, err
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return 0, err
		}
	}
	after, err := c.process.memory("VmRSS")
	return float64(after-before) / idleConnections, err
}
