package orchestrator

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"skiff/proxy"
	"skiff/proxy/handover"
	"skiff/proxy/switchboard"
)

// asked is an estate for which an heir has asked, and the heir's end.
func asked(t *testing.T, log slog.Handler) (e *estate, theirs handover.Conn) {
	t.Helper()
	dir := t.TempDir()
	control, err := handover.Listen(filepath.Join(dir, "control"))
	if errors.Is(err, handover.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	api, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	file, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	e = &estate{log: slog.New(log), lock: &lock{file: file}, control: control, api: api, handed: make(chan struct{})}
	e.proxy = proxy.New(proxy.Options{Log: e.log})
	e.board = switchboard.New(e.proxy, e.log)
	if theirs, err = handover.Dial(t.Context(), control.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	ours, err := handover.Accept(control)
	if err != nil {
		t.Fatal(err)
	}
	e.heir.Store(&heir{Conn: ours})
	return e, theirs
}

// TestHeirOfNothing: who asks for an instance, and cannot be sent what belongs to
// it, is not kept waiting.
func TestHeirOfNothing(t *testing.T) {
	t.Parallel()
	e, heir := asked(t, slog.DiscardHandler)
	e.lock.file.Close() // which can no longer be sent
	if (&Orchestrator{}).bequeath(t.Context(), e) {
		t.Fatal("handed over")
	}
	if err := heir.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, heir); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the heir waits: %v", err)
	}
}

// pausing is a log that lets nobody go on who writes to it.
type pausing struct {
	slog.Handler
	reached chan struct{}
	once    sync.Once
	goOn    chan struct{}
}

func (*pausing) Enabled(context.Context, slog.Level) bool { return true }

func (p *pausing) Handle(context.Context, slog.Record) error {
	p.once.Do(func() { close(p.reached) })
	<-p.goOn
	return nil
}

// TestHeirAtTheLastMoment: an heir that becomes ready while patience with it ends
// is the owner, and is told so, or is not, and is told that. Never both go, or none.
func TestHeirAtTheLastMoment(t *testing.T) {
	t.Parallel()
	log := &pausing{Handler: slog.DiscardHandler, reached: make(chan struct{}), goOn: make(chan struct{})}
	e, heir := asked(t, log)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	handed := make(chan bool, 1)
	go func() { handed <- (&Orchestrator{}).bequeath(ctx, e) }()
	var d deed
	files, err := heir.Receive(&d)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	elder := handover.NewElder(heir, func(switchboard.Counts) {})
	running, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- elder.Run(running) }()
	e.control.Close() // which the log is to say that it was closed before
	left := make(chan error, 1)
	go func() { left <- elder.Leave(t.Context()) }()
	<-log.reached
	cancel()
	select { // as it was when patience came first
	case <-elder.Gone():
	case <-time.After(100 * time.Millisecond):
	}
	close(log.goOn)
	if gone, err := <-handed, <-left; gone != (err == nil) {
		t.Errorf("the elder went: %t; its heir was told %v", gone, err)
	}
	if e.given { // as release does
		e.heir.Load().dismiss()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
