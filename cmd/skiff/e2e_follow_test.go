package main_test

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// following is a command that goes on, and the lines that it prints.
type following struct {
	*testing.T
	cmd   *exec.Cmd
	lines chan string
	ended chan error
}

// follow starts a command. It is killed when the test ends, if it still runs.
func follow(t *testing.T, cmd *exec.Cmd) *following {
	t.Helper()
	f := &following{t, cmd, make(chan string, 1000), make(chan error, 1)}
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatalf("run %v: %v", cmd.Args, err)
	}
	go func() {
		err := cmd.Wait()
		_ = in.Close()
		f.ended <- err
	}()
	go func() {
		defer close(f.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			f.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = f.wait()
	})
	return f
}

// until waits for a line that has this text, spaces apart, and gives it.
func (f *following) until(text string) (line string) {
	f.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case line, open := <-f.lines:
			if !open {
				f.Fatalf("%v ended without %q", f.cmd.Args, text)
			}
			if line = spaces.ReplaceAllString(line, " "); strings.Contains(line, text) {
				return line
			}
		case <-timeout.C:
			f.Fatalf("%v: no line with %q", f.cmd.Args, text)
		}
	}
}

// wait gives how the command ended, and the same when asked again.
func (f *following) wait() error {
	for range f.lines {
	}
	err := <-f.ended
	f.ended <- err
	return err
}
