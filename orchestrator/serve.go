package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"skiff/orchestrator/apiserver"
	"skiff/orchestrator/resource"
)

// inProcess reaches the API without a socket. The controllers are trusted and
// few: there is no limit to how fast they may ask.
func inProcess(server http.Handler) *rest.Config {
	config := &rest.Config{Host: "http://skiff", Transport: apiserver.Transport(server), QPS: -1, WarningHandler: rest.NoWarnings{}}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return config
}

var errNotReady = errors.New("starting or stopping")

func (p *parts) readiness() error {
	if !p.ready.Load() {
		return errNotReady
	}
	return nil
}

// noteIneffective records that fields of an object have no effect. Nothing is wrong
// with the object: as a Warning it would pass for why a Pod does not get ready.
func (p *parts) noteIneffective(obj runtime.Object, fields []string) {
	p.recorder.Event(obj, corev1.EventTypeNormal, "FieldsWithoutEffect", resource.IneffectiveMessage(fields))
}

// lastAnswers bounds what requests to the API get to end before another process
// answers them.
const lastAnswers = 5 * time.Second

// serve answers the API's clients until ctx ends.
func (p *parts) serve(ctx context.Context) error {
	streaming := apiserver.StreamsUntil(context.WithoutCancel(ctx), ctx)
	srv := &http.Server{
		Handler:           p.server.Outside(),
		TLSConfig:         p.pki.ServerTLS(),
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    1 << 20,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return streaming },
	}
	ended := make(chan error, 1)
	if err := p.api.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("serve the API: %w", err)
	}
	go func() { ended <- srv.ServeTLS(spared{p.api}, "", "") }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	}
	if p.heir.Load() != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
		defer cancel()
		if err := srv.Shutdown(last); err != nil {
			p.log.Warn("requests to the API are cut", "error", err)
		}
	}
	// Every answer is safe to cut: what was accepted is on disk.
	err := srv.Close()
	<-ended
	return err
}

// spared is a listener that outlives the server which accepts from it: another
// one, in this process or the next, goes on with what waits there.
type spared struct{ *net.TCPListener }

func (l spared) Close() error { return l.SetDeadline(time.Unix(1, 0)) }
