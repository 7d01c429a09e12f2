// Command web is the application of the examples: a small HTTP server that says
// which version answered. Its environment makes it behave like the servers that
// people really run, also the rude ones.
//
//	VERSION         what it calls itself (else what was linked in)
//	START_DELAY     how long it takes before it listens, e.g. 2s
//	LATENCY         how long each answer takes, e.g. 5ms
//	RUDE            true: at SIGTERM it drops everything at once, as servers do
//	                that do not handle the signal
//	NEVER_READY     true: /healthz always answers 500
//	BACKEND         a URL, say of another Service: /backend passes its answer on
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// Linked in with -ldflags "-X main.version=2".
var (
	version    = "0"
	neverReady = "false"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	s, err := serverFromEnv()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	select {
	case <-time.After(s.startDelay):
	case <-ctx.Done():
		return nil
	}
	srv := &http.Server{Addr: ":8080", Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	log.Printf("version %s listens on %s", s.version, srv.Addr)

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if s.rude {
		return errors.New("SIGTERM: dropping everything")
	}
	ending, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return srv.Shutdown(ending)
}

type server struct {
	version             string
	hostname            string
	startDelay, latency time.Duration
	rude, neverReady    bool
	backend             string
}

func serverFromEnv() (server, error) {
	s := server{version: version}
	if v := os.Getenv("VERSION"); v != "" {
		s.version = v
	}
	s.backend = os.Getenv("BACKEND")
	var errs [5]error
	s.hostname, errs[0] = os.Hostname()
	s.startDelay, errs[1] = duration("START_DELAY")
	s.latency, errs[2] = duration("LATENCY")
	s.rude, errs[3] = boolean("RUDE", "false")
	s.neverReady, errs[4] = boolean("NEVER_READY", neverReady)
	return s, errors.Join(errs[:]...)
}

func duration(name string) (time.Duration, error) {
	v := os.Getenv(name)
	if v == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return d, nil
}

func boolean(name, unset string) (bool, error) {
	v := os.Getenv(name)
	if v == "" {
		v = unset
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

func (s server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.hello)
	mux.HandleFunc("/healthz", s.healthz)
	mux.HandleFunc("/slow", slow(s.hello))
	mux.HandleFunc("POST /slow", slow(s.echo))
	mux.HandleFunc("POST /echo", s.echo)
	mux.HandleFunc("/backend", s.askBackend)
	mux.HandleFunc("/events", s.events)
	mux.HandleFunc("/ws", s.webSocket)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version", s.version)
		mux.ServeHTTP(w, r)
	})
}

func (s server) hello(w http.ResponseWriter, r *http.Request) {
	if !pause(r.Context(), s.latency) {
		return
	}
	fmt.Fprintf(w, "version %s on %s\n", s.version, s.hostname)
}

func (s server) healthz(w http.ResponseWriter, _ *http.Request) {
	if s.neverReady {
		http.Error(w, "this version never becomes ready", http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "ok")
}

// slow hands over to next after ?d=, at most a minute.
func slow(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.URL.Query().Get("d"))
		if err != nil || d < 0 || d > time.Minute {
			http.Error(w, "d must be a duration up to 1m", http.StatusBadRequest)
			return
		}
		if pause(r.Context(), d) {
			next(w, r)
		}
	}
}

// askBackend passes on what another server answers, which is asked on a
// connection of its own with ?fresh=true. It asks once: whoever wants to see
// what gets lost on the way must see it.
func (s server) askBackend(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, s.backend, http.NoBody)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	req.Close = r.URL.Query().Get("fresh") == "true"
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	w.Header().Set("X-Version", res.Header.Get("X-Version"))
	w.WriteHeader(res.StatusCode)
	if _, err := io.Copy(w, res.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// echo sends the body back as it comes in, and its SHA-256 as a trailer.
func (s server) echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Sha256")
	// HTTP/2 reads and writes at once anyway, and says so by an error.
	_ = http.NewResponseController(w).EnableFullDuplex()
	sum := sha256.New()
	if _, err := io.Copy(w, io.TeeReader(r.Body, sum)); err != nil {
		panic(http.ErrAbortHandler) // the client must not take half a body for a whole one
	}
	w.Header().Set("X-Sha256", fmt.Sprintf("%x", sum.Sum(nil)))
}

// events is a stream of server-sent events, ten per second.
func (s server) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	for n := 0; ; n++ {
		if _, err := fmt.Fprintf(w, "id: %d\ndata: version %s\n\n", n, s.version); err != nil {
			return
		}
		if rc.Flush() != nil || !pause(r.Context(), 100*time.Millisecond) {
			return
		}
	}
}

// webSocket echoes every message with the version before it.
func (s server) webSocket(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{}
	c, err := upgrader.Upgrade(w, r, http.Header{"X-Version": {s.version}})
	if err != nil {
		return
	}
	defer c.Close()
	c.SetReadLimit(1 << 20)
	for {
		kind, msg, err := c.ReadMessage()
		if err != nil {
			return
		}
		if err := c.WriteMessage(kind, append([]byte(s.version+" "), msg...)); err != nil {
			return
		}
	}
}

// pause waits; it says false when the client left first.
func pause(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
