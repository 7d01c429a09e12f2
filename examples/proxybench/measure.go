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
	idle    = "idle-memory"
)

var allCases = []string{small, medium, fresh, large, open, overTCP, idle}

const (
	connections     = 64
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
			if name == overTCP {
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
	if name == open {
		requests, r.median, err = openLoop(ctx, c.address, d)
	} else {
		requests, r.rate, err = wrk(ctx, name, c.address, d)
	}
	if err != nil || c.process == nil {
		return r, err
	}
	after, err := c.process.cpu()
	if err != nil {
		return r, err
	}
	r.cpu = (after - before).Seconds() * 100_000 / float64(requests)
	peak, err := c.process.memory("VmHWM")
	r.peakMB = float64(peak) / 1024
	return r, err
}

var (
	requestsLine = regexp.MustCompile(`(\d+) requests in`)
	rateLine     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	errorLines   = regexp.MustCompile(`Non-2xx.*|Socket errors.*`)
)

// wrk puts on as much load as 64 connections carry.
func wrk(ctx context.Context, name, address string, d time.Duration) (requests int, rate float64, err error) {
	size := map[string]int{small: 100, medium: 10 << 10, fresh: 100, large: 1 << 20, overTCP: 100}[name]
	args := []string{"-t", "2", "-c", strconv.Itoa(connections), "-d", d.String(), fmt.Sprintf("http://%s/%d", address, size)}
	if name == fresh {
		args = append(args, "-H", "Connection: close")
	}
	out, err := exec.CommandContext(ctx, "wrk", args...).CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("wrk: %w: %s", err, out)
	}
	if lost := errorLines.Find(out); lost != nil {
		return 0, 0, fmt.Errorf("requests failed: %s", lost)
	}
	n, r := requestsLine.FindSubmatch(out), rateLine.FindSubmatch(out)
	if n == nil || r == nil {
		return 0, 0, fmt.Errorf("no figures from wrk: %s", out)
	}
	requests, _ = strconv.Atoi(string(n[1]))
	rate, err = strconv.ParseFloat(string(r[1]), 64)
	return requests, rate, err
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
