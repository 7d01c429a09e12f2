package docker

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

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

func TestReadPull(t *testing.T) {
	t.Parallel()
	const start = `{"status":"Pulling from library/x","id":"1"}
{"status":"Pulling fs layer","progressDetail":{},"id":"a"}
{"status":"Downloading","progressDetail":{"current":10,"total":100},"id":"a"}
{"status":"Downloading","progressDetail":{"current":5,"total":50},"id":"b"}
{"status":"Download complete","progressDetail":{},"id":"a"}
{"status":"Extracting","progressDetail":{"current":1,"total":100},"id":"a"}
`
	var done, total int64
	calls := 0
	note := func(d, n int64) { done, total, calls = d, n, calls+1 }
	if err := readPull(strings.NewReader(start+`{"status":"Status: Downloaded newer image"}`), note); err != nil {
		t.Fatal(err)
	}
	if done != 105 || total != 150 || calls != 3 {
		t.Errorf("progress: %d of %d after %d calls", done, total, calls)
	}
	err := readPull(strings.NewReader(start+`{"errorDetail":{"message":"toomanyrequests"},"error":"toomanyrequests"}`), note)
	if err == nil || err.Error() != "toomanyrequests" {
		t.Errorf("error in the report: %v", err)
	}
	if err := readPull(strings.NewReader(`{"status":`), note); err == nil {
		t.Error("no error for a report that was cut off")
	}
	if err := readPull(iotest.ErrReader(errors.New("lost")), note); err == nil {
		t.Error("no error for a lost connection")
	}
}

func TestPullFails(t *testing.T) {
	t.Parallel()
	e := newInstance(t, "test-pull", "uid")
	_, err := e.Pull(t.Context(), "127.0.0.1:1/nothing:1", func(int64, int64) {})
	if err == nil || !strings.HasPrefix(err.Error(), `pull image "127.0.0.1:1/nothing:1": no answer from its registry: `) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Pull from nowhere = %v", err)
	}
	if _, err := e.Pull(t.Context(), "Not An Image", func(int64, int64) {}); err == nil {
		t.Error("Pull of a name that is none succeeded")
	}
}

func TestEventsSurviveTheConnection(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	relay := newRelay(t, e)
	through, err := New(Options{Instance: e.instance, UID: e.uid, Host: relay.host, Log: e.log})
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	events := through.Events(t.Context())
	relay.cut()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	select {
	case got := <-events:
		if got != (container.Event{}) {
			t.Fatalf("after the connection was lost came %+v, want a zero event", got)
		}
	case <-limit.C:
		t.Fatal("no event after the connection was lost")
	}
	id := start(t, e, spec(t, e, "exit", "0"))
	for _, want := range []string{"create", "start", "die"} {
		select {
		case got := <-events:
			if got.ContainerID != id || got.Action != want {
				t.Errorf("event %+v, want %s of %s", got, want, id)
			}
		case <-limit.C:
			t.Fatalf("no event %s", want)
		}
	}
}

func TestSlowReaderOfEvents(t *testing.T) {
	t.Parallel()
	s := &subscription{queue: make(chan container.Event, 2)}
	for i := range 5 { // three too many
		s.put(container.Event{ContainerID: string(rune('a' + i))})
	}
	first, second := <-s.queue, <-s.queue
	s.put(container.Event{ContainerID: "later"})
	if third := <-s.queue; first.ContainerID != "a" || second.ContainerID != "b" || third != (container.Event{}) {
		t.Errorf("got %v, %v, %v, want a, b and the zero event", first, second, third)
	}
	s.put(container.Event{ContainerID: "next"})
	if got := <-s.queue; got.ContainerID != "next" {
		t.Errorf("after the zero event came %v", got)
	}
}
