package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is a program under test, with its workers.
type process struct{ cmd *exec.Cmd }

// pids are the process and its children.
func (p *process) pids() []int {
	pid := p.cmd.Process.Pid
	pids := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for _, child := range strings.Fields(string(children)) {
			if n, err := strconv.Atoi(child); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// cpu is the time that it has used in the user's mode and in the kernel's.
func (p *process) cpu() (time.Duration, error) {
	const ticksPerSecond = 100
	total := time.Duration(0)
	for _, pid := range p.pids() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		// The name, in parentheses, may have spaces in it.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, field := range fields[11:13] {
			ticks, err := strconv.Atoi(field)
			if err != nil {
				return 0, err
			}
			total += time.Duration(ticks) * time.Second / ticksPerSecond
		}
	}
	return total, nil
}

// memory is a line of /proc/PID/status, summed up, in kilobytes: VmRSS, or
// VmHWM, which is the highest since forget.
func (p *process) memory(line string) (int, error) {
	total := 0
	for _, pid := range p.pids() {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		_, rest, _ := strings.Cut(string(status), line+":")
		n := 0
		if _, err := fmt.Sscanf(rest, "%d kB", &n); err != nil {
			return 0, fmt.Errorf("read %s of process %d: %w", line, pid, err)
		}
		total += n
	}
	return total, nil
}

// forget makes the highest memory so far the one of now.
func (p *process) forget() error {
	for _, pid := range p.pids() {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
			return err
		}
	}
	return nil
}
