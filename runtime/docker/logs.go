package docker

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"

	"skiff/runtime/container"
)

// Logs reads what the container wrote, standard output and error merged. With
// Follow it goes on until the container exits, ctx ends or it is closed.
func (e *Engine) Logs(ctx context.Context, id string, o container.LogOptions) (io.ReadCloser, error) {
	c, err := e.inspect(ctx, id)
	if err != nil {
		return nil, err
	}
	options := dockercontainer.LogsOptions{
		ShowStdout: true,
		ShowStderr: true,
		Follow:     o.Follow,
		Timestamps: o.Timestamps,
		Tail:       "all",
	}
	if o.Tail >= 0 {
		options.Tail = strconv.FormatInt(o.Tail, 10)
	}
	if !o.Since.IsZero() {
		options.Since = timestamp(o.Since)
	}
	stream, err := e.api.ContainerLogs(ctx, engineID(id), options)
	if err != nil {
		return nil, failure("read logs", err)
	}
	if c.Config.Tty {
		return stream, nil // a terminal has one stream, and it comes as it is
	}
	return struct {
		io.Reader
		io.Closer
	}{demultiplex(stream), stream}, nil
}

// timestamp is how the engine is told of a time.
func timestamp(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// demultiplex merges standard output and error.
func demultiplex(r io.Reader) io.Reader { return &frames{r: bufio.NewReader(r)} }

type frames struct {
	r    *bufio.Reader
	left uint32 // of the current frame
}

// The engine sends standard output and error in frames: a byte for the stream,
// three of padding, four for the length. Kinds of frames besides standard output: the last one is by which the engine
// reports an error of its own.
const (
	standardError = 2
	systemError   = 3
)

// nextFrame is of which stream the next frame is, and how long. The error is
// io.EOF where there is none.
func nextFrame(r io.Reader) (stream byte, length uint32, err error) {
	var header [8]byte
	if _, err := io.ReadFull(r, header[:]); err == io.EOF {
		return 0, 0, err
	} else if err != nil {
		return 0, 0, fmt.Errorf("read frame of the engine's stream: %w", err)
	}
	stream, length = header[0], binary.BigEndian.Uint32(header[4:])
	if stream == systemError {
		text, _ := io.ReadAll(io.LimitReader(r, int64(min(length, 4096))))
		return 0, 0, fmt.Errorf("read the engine's stream: %s", text)
	}
	return stream, length, nil
}

func (f *frames) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for f.left == 0 {
		var err error
		if _, f.left, err = nextFrame(f.r); err != nil {
			return 0, err
		}
	}
	n, err := f.r.Read(p[:min(len(p), int(f.left))])
	f.left -= uint32(n)
	if err == io.EOF && f.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
