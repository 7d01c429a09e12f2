package docker

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"skiff/runtime/container"
)

func TestLogsOfATerminal(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	s := spec(t, e, "exit", "0")
	s.TTY = true
	id := start(t, e, s)
	exited(t, e, id)
	r, err := e.Logs(t.Context(), id, container.LogOptions{Tail: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "exiting with 0\r\n" {
		t.Errorf("log = %q, %v", text, err)
	}
}

func TestLogsAreClosed(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	id := start(t, e, spec(t, e, "tick"))
	r, err := e.Logs(t.Context(), id, container.LogOptions{Tail: -1, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 20)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := io.Copy(io.Discard, r); err == nil {
		t.Error("a closed log goes on")
	}
}

// A container that writes without end fills no disk: the engine keeps the last of
// it in a few files of bounded size. Whoever reads its end, or follows it, goes
// on reading while files come and go: up to what is written now, though where a
// file begins the engine may repeat lines, and lose some to one who is slow.
func TestLogsAreBounded(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	const lines = 45_000 // half as much again as is kept
	id := start(t, e, spec(t, e, "pour", strconv.Itoa(lines)))
	follow, err := e.Logs(t.Context(), id, container.LogOptions{Tail: -1, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer follow.Close()
	number := func(line string) int {
		t.Helper()
		n, err := strconv.Atoi(line[:min(9, len(line))])
		if err != nil || len(line) != 999 {
			t.Fatalf("not a line: %.50q", line)
		}
		return n
	}
	last := -1
	for followed := bufio.NewScanner(follow); last < lines+10; {
		if !followed.Scan() {
			t.Fatalf("the log ends after line %d: %v", last, followed.Err())
		}
		last = number(followed.Text())
	}
	tail, err := e.Logs(t.Context(), id, container.LogOptions{Tail: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Close()
	text, err := io.ReadAll(tail)
	got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if err != nil || len(got) != 100 {
		t.Fatalf("%d lines, %v", len(got), err)
	}
	for i, line := range got {
		if n := number(line); n != number(got[0])+i || i == 99 && n < last {
			t.Errorf("the last lines begin with %d, and the one after %d is %d; line %d was read before", number(got[0]), i, n, last)
		}
	}
	c, err := e.inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(c.LogPath + "*")
	if err != nil || len(files) == 0 {
		t.Logf("the engine's files cannot be seen from here: %v", err)
		return
	}
	var size int64
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if len(files) != 3 || size > 31e6 {
		t.Errorf("%d files of %d bytes", len(files), size)
	}
}

func TestDemultiplex(t *testing.T) {
	t.Parallel()
	frame := func(stream byte, text string) string {
		return string([]byte{stream, 0, 0, 0, 0, 0, byte(len(text) >> 8), byte(len(text))}) + text
	}
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name, in, want, err string
	}{
		{"empty", "", "", ""},
		{"two streams", frame(1, "out ") + frame(2, "err"), "out err", ""},
		{"long and empty frames", frame(1, long) + frame(1, "") + frame(2, "."), long + ".", ""},
		{"the engine's error", frame(1, "a") + frame(3, "disk full"), "a", "read the engine's stream: disk full"},
		{"cut in a header", frame(1, "a") + "\x01\x00", "a", "read frame of the engine's stream: unexpected EOF"},
		{"cut in a frame", frame(1, "abc")[:9], "a", "unexpected EOF"},
	} {
		for way, r := range map[string]io.Reader{"whole": strings.NewReader(c.in), "bytes": iotest.OneByteReader(strings.NewReader(c.in))} {
			got, err := io.ReadAll(demultiplex(r))
			text := ""
			if err != nil {
				text = err.Error()
			}
			if string(got) != c.want || text != c.err {
				t.Errorf("%s, %s: %q, %q, want %q, %q", c.name, way, got, text, c.want, c.err)
			}
		}
	}
}
