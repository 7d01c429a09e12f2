package docker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
)

const (
	gatewayRepository = "skiff/gateway"
	labelGateway      = "skiff.gateway"
)

// programImage is the image of skiff's program, which its name says what is in
// it: instances of the same skiff share it and may load it at the same time.
type programImage struct {
	ref, arch string
	program   file
}

// programImage measures the program, the first time.
func (e *Engine) programImage(ctx context.Context) (programImage, error) {
	e.programMu.Lock()
	defer e.programMu.Unlock()
	if e.image.ref != "" {
		return e.image, nil
	}
	version, err := e.api.ServerVersion(ctx)
	if err != nil {
		return programImage{}, failure("ask the engine for its version", err)
	}
	if err := checkProgram(e.program, version.Arch); err != nil {
		return programImage{}, fmt.Errorf("use %s for the gateway: %w", e.program, err)
	}
	program := file{name: "skiff", open: func() (io.ReadCloser, error) { return os.Open(e.program) }}
	sum, err := program.measure()
	if err != nil {
		return programImage{}, fmt.Errorf("read %s for the gateway: %w", e.program, err)
	}
	e.image = programImage{ref: gatewayRepository + ":" + sum[:12], arch: version.Arch, program: program}
	return e.image, nil
}

// withProgram makes a container from the program's image.
func (e *Engine) withProgram(ctx context.Context, create func(ref string) (id string, err error)) (string, error) {
	i, err := e.programImage(ctx)
	if err != nil {
		return "", err
	}
	return withImage(
		func() (string, error) { return create(i.ref) },
		func() error { return e.loadGateway(ctx, i) },
	)
}

// ensureGatewayImage loads the image where the engine has none.
func (e *Engine) ensureGatewayImage(ctx context.Context, i programImage) error {
	_, err := e.api.ImageInspect(ctx, i.ref)
	if cerrdefs.IsNotFound(err) {
		return e.loadGateway(ctx, i)
	}
	return failure("inspect image "+i.ref, err)
}

// loadGateway streams the image, which is as large as skiff, to the engine.
func (e *Engine) loadGateway(ctx context.Context, i programImage) error {
	archive, to := io.Pipe()
	defer archive.Close()
	go func() {
		to.CloseWithError(writeImage(to, i.ref, i.arch, imageConfig{
			Entrypoint: []string{"/" + i.program.name},
			Labels:     map[string]string{labelGateway: "true"},
		}, entry{file: i.program, mode: 0o555}))
	}()
	return e.load(ctx, archive)
}

// purgeGatewayImages removes those that no container uses. One whose container
// is about to be made is loaded again.
func (e *Engine) purgeGatewayImages(ctx context.Context) error {
	found, err := e.api.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelGateway))})
	if err != nil {
		return failure("list images", err)
	}
	var errs []error
	for _, i := range found {
		for _, ref := range references(i) {
			errs = append(errs, e.removeUnusedImage(ctx, ref))
		}
	}
	return errors.Join(errs...)
}

// references are the names by which an image is removed: its ID where its name
// has gone to another one.
func references(i image.Summary) []string {
	const untagged = "<none>:<none>"
	tags := slices.DeleteFunc(slices.Clone(i.RepoTags), func(tag string) bool { return tag == untagged })
	if len(tags) == 0 {
		return []string{i.ID}
	}
	return tags
}

var (
	errNotLinux  = errors.New("it is no program for Linux")
	errNotStatic = errors.New("it needs libraries, which are not there in a container: build it with CGO_ENABLED=0")
)

// checkProgram says why a program would not run alone in a container, as far as
// its head tells: https://refspecs.linuxfoundation.org/elf/elf.pdf.
func checkProgram(path, arch string) error {
	const (
		headSize    = 64
		entrySize   = 56
		interpreter = 3 // the type of a program header that names a loader
		mostEntries = 1000
	)
	program, err := os.Open(path)
	if err != nil {
		return err
	}
	defer program.Close()
	head := make([]byte, headSize)
	if _, err := io.ReadFull(program, head); err != nil || string(head[:6]) != "\x7fELF\x02\x01" {
		return errNotLinux
	}
	if machine, known := elfMachines[arch]; known && binary.LittleEndian.Uint16(head[18:]) != machine {
		return fmt.Errorf("%w on %s", errNotLinux, arch)
	}
	count := int(binary.LittleEndian.Uint16(head[56:]))
	if count > mostEntries || binary.LittleEndian.Uint16(head[54:]) != entrySize {
		return errNotLinux
	}
	entries := make([]byte, count*entrySize)
	if _, err := program.ReadAt(entries, int64(binary.LittleEndian.Uint64(head[32:]))); err != nil {
		return errNotLinux
	}
	for i := range count {
		if binary.LittleEndian.Uint32(entries[i*entrySize:]) == interpreter {
			return errNotStatic
		}
	}
	return nil
}
