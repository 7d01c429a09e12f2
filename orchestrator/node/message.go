package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	corev1 "k8s.io/api/core/v1"

	"skiff/runtime/container"
)

// The kubelet's limits of a termination message: as a container writes it, as it
// is taken from a log, and for all containers of a Pod together.
const (
	messageBytes    = 4096
	messagesBytes   = 12 << 10
	messageLogBytes = 2048
	messageLogLines = 80
)

// messageShare is how much each container of a Pod may say at its end.
func messageShare(pod *corev1.Pod) int {
	return messagesBytes / (len(pod.Spec.InitContainers) + len(pod.Spec.Containers) + len(pod.Spec.EphemeralContainers))
}

// lastWords is the termination message of a container that has ended.
func (p *pod) lastWords(ctx context.Context, c *corev1.Container, st container.Status) string {
	text, err := tail(p.messagePath(c.Name, st.Attempt), messageBytes)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist): // an earlier skiff made none
		return fmt.Sprintf("Error on reading termination log %s: %v", p.messagePath(c.Name, st.Attempt), err)
	case len(text) > 0:
		return string(bytes.ToValidUTF8(text, []byte("\uFFFD")))
	case c.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError || st.ExitCode == 0:
		return ""
	}
	log, err := p.Engine.Logs(ctx, st.ID, container.LogOptions{Tail: messageLogLines})
	if err != nil {
		return fmt.Sprintf("Error on reading termination message from logs: %v", err)
	}
	defer log.Close()
	last, err := readTail(log, messageLogBytes)
	if err != nil {
		return fmt.Sprintf("Error on reading termination message from logs: %v", err)
	}
	return string(bytes.ToValidUTF8(last, []byte("\uFFFD")))
}

// readTail keeps the last bytes of a stream, and no more than twice as many at
// a time.
func readTail(r io.Reader, limit int) ([]byte, error) {
	kept := make([]byte, 0, 2*limit)
	for {
		n, err := r.Read(kept[len(kept):cap(kept)])
		kept = kept[:len(kept)+n]
		if over := len(kept) - limit; over > 0 {
			kept = append(kept[:0], kept[over:]...)
		}
		if errors.Is(err, io.EOF) {
			return kept, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
