package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The figures of the whole program, as "make build" makes it.
const binary = "../../bin/skiff"

// benchInstance runs a command of an instance of the benchmark's own.
func benchInstance(b *testing.B, dir string, args ...string) string {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), binary, append([]string{"--name", "bench-" + filepath.Base(dir), "--data-dir", dir}, args...)...).CombinedOutput()
	if err != nil {
		b.Fatalf("skiff %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// BenchmarkUp is from the command to a ready API, on an instance that is new.
func BenchmarkUp(b *testing.B) {
	for n := 0; b.Loop(); n++ {
		dir := filepath.Join(b.TempDir(), strconv.Itoa(n))
		benchInstance(b, dir, "up", "--detach", "--listen", "127.0.0.1:0")
		b.StopTimer()
		benchInstance(b, dir, "down", "--purge")
		b.StartTimer()
	}
	info, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/1e6, "binary-MB")
}

// BenchmarkIdle is what an instance without Pods costs while nobody asks it
// anything: resident memory, and processor time in percent of one core.
func BenchmarkIdle(b *testing.B) {
	const watched = 10 * time.Second
	dir := filepath.Join(b.TempDir(), "idle")
	benchInstance(b, dir, "up", "--detach", "--listen", "127.0.0.1:0")
	defer benchInstance(b, dir, "down", "--purge")
	pid := strings.TrimSpace(read(b, filepath.Join(dir, "skiff.pid")))
	var used time.Duration
	for b.Loop() {
		before := processorTime(b, pid)
		select {
		case <-time.After(watched):
		case <-b.Context().Done():
		}
		used += processorTime(b, pid) - before
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(100*used.Seconds()/(watched.Seconds()*float64(b.N)), "%core")
	b.ReportMetric(float64(resident(b, pid))/1e6, "RSS-MB")
}

func read(b *testing.B, name string) string {
	b.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

// processorTime reads a process's user and system time: fields 14 and 15 of its
// stat file, in ticks of 10 ms, counted after the command's name in brackets.
func processorTime(b *testing.B, pid string) time.Duration {
	b.Helper()
	stat := read(b, "/proc/"+pid+"/stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func resident(b *testing.B, pid string) int {
	b.Helper()
	for line := range bytes.Lines([]byte(read(b, "/proc/"+pid+"/status"))) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kb, err := strconv.Atoi(strings.Fields(string(rest))[0])
			if err != nil {
				b.Fatal(err)
			}
			return kb * 1024
		}
	}
	b.Fatalf("process %s has no VmRSS", pid)
	return 0
}
