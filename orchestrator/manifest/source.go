package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	maxFile     = 16 << 20
	maxTotal    = 64 << 20
	maxFiles    = 10_000
	httpTimeout = 30 * time.Second
)

var extensions = []string{".json", ".yaml", ".yml"}

// source is one place to read bytes from; name is what messages call it.
type source struct {
	name string
	kind sourceKind
}

type sourceKind int

const (
	fromFile sourceKind = iota
	fromStdin
	fromURL
)

// expand turns the names a user gives into single sources.
func expand(opts Options) ([]source, error) {
	var sources []source
	for _, name := range opts.Files {
		switch {
		case name == "-":
			if slices.ContainsFunc(sources, func(s source) bool { return s.kind == fromStdin }) {
				return nil, errors.New(`standard input ("-") can be read only once`)
			}
			sources = append(sources, source{"stdin", fromStdin})
		case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
			sources = append(sources, source{name, fromURL})
		default:
			found, err := onDisk(name, opts.Recursive)
			if err != nil {
				return nil, err
			}
			sources = append(sources, found...)
		}
		if len(sources) > maxFiles {
			return nil, fmt.Errorf("more than %d manifest files", maxFiles)
		}
	}
	return sources, nil
}

func onDisk(name string, recursive bool) ([]source, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the path %q does not exist", name)
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if !info.IsDir() {
		return []source{{name, fromFile}}, nil
	}
	found, err := inDirectory(name, recursive)
	if err != nil {
		return nil, fmt.Errorf("read directory of manifests: %w", err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no manifests in directory %q: its files must end in %s", name, strings.Join(extensions, ", "))
	}
	return found, nil
}

func inDirectory(dir string, recursive bool) ([]source, error) {
	var found []source
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != dir && !recursive:
			return fs.SkipDir
		case entry.IsDir() || !slices.Contains(extensions, filepath.Ext(path)):
			return nil
		case len(found) == maxFiles:
			return fmt.Errorf("more than %d manifest files in %s", maxFiles, dir)
		}
		found = append(found, source{path, fromFile})
		return nil
	})
	return found, err
}

func (s source) read(ctx context.Context, stdin io.Reader) ([]byte, error) {
	switch s.kind {
	case fromStdin:
		return s.bounded(stdin)
	case fromURL:
		return s.download(ctx)
	}
	file, err := os.Open(s.name)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if info.Size() > maxFile {
		return nil, s.tooBig(info.Size())
	}
	return s.bounded(file)
}

func (s source) download(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, httpTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.name, nil)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read manifest %s: the server answered %s", s.name, response.Status)
	}
	if response.ContentLength > maxFile {
		return nil, s.tooBig(response.ContentLength)
	}
	return s.bounded(response.Body)
}

func (s source) bounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", s.name, err)
	}
	if len(data) > maxFile {
		return nil, s.tooBig(-1)
	}
	return data, nil
}

// tooBig is told size -1 where only the limit is known to be passed.
func (s source) tooBig(size int64) error {
	amount := fmt.Sprintf("more than %d MB", maxFile>>20)
	if size >= 0 {
		amount = fmt.Sprintf("%d MB", (size+(1<<20)-1)>>20)
	}
	return fmt.Errorf("%s is %s; manifests may be at most %d MB", s.name, amount, maxFile>>20)
}
