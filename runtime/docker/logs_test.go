package docker

import (
	"io"
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
