package jsonl

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

type word struct {
	Seq  uint64
	Text string
}

func (w word) Numbered(seq uint64) word { w.Seq = seq; return w }

// line is a connection: what is told arrives at its end.
func line(t *testing.T) (*Outbox[word], Reader[word]) {
	r, w := io.Pipe()
	out, over := NewOutbox[word](), make(chan struct{})
	go out.Run(w, over)
	t.Cleanup(func() { close(over); r.Close() })
	return out, NewReader[word](r, 1000)
}

func hears(t *testing.T, in Reader[word], want ...word) {
	t.Helper()
	for _, w := range want {
		if got, err := in.Next(); got != w || err != nil {
			t.Errorf("hears %v, %v, want %v", got, err, w)
		}
	}
}

// What is waited for is said again over a new connection, after what that has to
// know first; what was only told is not.
func TestTellerOverConnections(t *testing.T) {
	t.Parallel()
	teller := NewTeller[word]("them")
	first, in := line(t)
	teller.Connect(first)
	teller.Tell(word{Text: "told"})
	a, b := teller.Ask(word{Text: "a"}), teller.Ask(word{Text: "b"})
	hears(t, in, word{1, "told"}, word{2, "a"}, word{3, "b"})
	if !teller.Done(2, "") || teller.Done(2, "") || teller.Done(1, "bad") {
		t.Error("who waits is not known")
	}
	teller.Lost(false)
	teller.Tell(word{Text: "unheard"})
	c := teller.Ask(word{Text: "c"})
	second, in := line(t)
	if seq := teller.Connect(second, word{Text: "all"}); seq != 6 {
		t.Errorf("the first message has number %d", seq)
	}
	hears(t, in, word{6, "all"}, word{3, "b"}, word{5, "c"})
	teller.Done(3, "it is broken")
	if err := a.Await(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if err := b.Await(t.Context(), 0); err == nil || err.Error() != "it is broken" {
		t.Errorf("a message that could not be done: %v", err)
	}
	teller.Lost(true)
	if err := errors.Join(c.Await(t.Context(), 0), teller.Ask(word{Text: "d"}).Await(t.Context(), 0)); err != nil {
		t.Errorf("there is nobody to wait for: %v", err)
	}
}

// A deadline is one for the doing; the word of it may come a little later.
func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		teller := NewTeller[word]("them")
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late, never := teller.Ask(word{}), teller.Ask(word{})
		time.AfterFunc(3*time.Second, func() { teller.Done(late.seq, "") })
		if err := late.Await(ctx, 5*time.Second); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		start = time.Now()
		if err := never.Await(ctx, 5*time.Second); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		start = time.Now()
		gone, leave := context.WithCancel(t.Context())
		leave()
		if err := teller.Ask(word{}).Await(gone, 5*time.Second); !errors.Is(err, context.Canceled) || time.Since(start) != 0 {
			t.Errorf("who has gone waits %v: %v", time.Since(start), err)
		}
		if n := len(teller.asked); n > 0 {
			t.Errorf("%d messages are kept that nobody waits for", n)
		}
	})
}
