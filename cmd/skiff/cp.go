package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/exec"
	"k8s.io/kubectl/pkg/cmd/util/podcmd"
)

func (p *program) cp() *cobra.Command {
	return spec{
		name:  "cp",
		short: "copy files to or from a container",
		args:  "SOURCE TARGET, one of which is [NAMESPACE/]POD:PATH",
		long:  "Directories are copied with all below them. The container needs tar.",
		examples: examples(
			"skiff cp web-6f89cd886-x2x7q:/var/log/app.log app.log",
			"skiff cp ./fixtures shop/web-6f89cd886-x2x7q:/data -c db"),
		flags: func(f *flags) {
			f.String("container", "c", "", "in this `CONTAINER` (default: the first, or what the Pod's annotation says)")
		},
		run: p.runCp,
	}.command()
}

// remotePath is a file in a container.
type remotePath struct{ namespace, pod, path string }

// parseRemote reads [NAMESPACE/]POD:PATH. What begins as a path is one here,
// even with a colon in it.
func parseRemote(text string) (at remotePath, remote bool) {
	name, file, found := strings.Cut(text, ":")
	if !found || name == "" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "/") || filepath.VolumeName(text) != "" {
		return at, false
	}
	namespace, pod, both := strings.Cut(name, "/")
	if !both {
		namespace, pod = "", name
	}
	return remotePath{namespace, pod, file}, true
}

func (p *program) runCp(c *call) error {
	if len(c.args) != 2 {
		return c.usage("source and destination are required")
	}
	from, fromRemote := parseRemote(c.args[0])
	to, toRemote := parseRemote(c.args[1])
	if fromRemote == toRemote {
		return c.usage("one of source and destination must be a path in a container: POD:PATH")
	}
	at, local := from, c.args[1]
	if toRemote {
		at, local = to, c.args[0]
	}
	if at.path == "" || local == "" {
		return c.usage("filepath can not be empty")
	}
	conn, err := p.connect(c)
	if err != nil {
		return err
	}
	if at.namespace == "" {
		if at.namespace, _, err = conn.namespace(); err != nil {
			return err
		}
	}
	infos, err := typed(conn.builder()).NamespaceParam(at.namespace).DefaultNamespace().ResourceNames("pods", at.pod).Do().Infos()
	if err != nil {
		return err
	}
	pod, ok := infos[0].Object.(*corev1.Pod)
	if !ok {
		return c.usage(at.pod + " is no Pod")
	}
	container, err := podcmd.FindOrDefaultContainerByName(pod, c.String("container"), false, p.ErrOut)
	if err != nil {
		return err
	}
	run := func(cmd []string, in io.Reader, out io.Writer) error {
		err := p.runIn(c.ctx, conn, pod, container.Name, cmd, in, out)
		var exit exec.ExitError
		if errors.As(err, &exit) && slices.Contains(cannotRun, exit.ExitStatus()) {
			return fmt.Errorf("container %s does not run %s, which cp needs: %v", container.Name, cmd[0], err)
		}
		return err
	}
	if toRemote {
		return upload(local, at.path, run)
	}
	return download(at.path, local, run)
}

// cannotRun are the exit codes of a program that is not there. What the engine
// says of it comes as the program's own output, which here is an archive.
var cannotRun = []int{126, 127}

// remoteRun runs a command in the container.
type remoteRun func(cmd []string, in io.Reader, out io.Writer) error

// upload packs a file or directory for the container's tar. Where the target is
// a directory, it goes into it.
func upload(local, target string, run remoteRun) error {
	if _, err := os.Lstat(local); err != nil {
		return fmt.Errorf("%s doesn't exist in local filesystem: %w", local, err)
	}
	if run([]string{"test", "-d", target}, nil, io.Discard) == nil {
		target = path.Join(target, filepath.Base(local))
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(local, path.Base(target), w)
		w.CloseWithError(err)
		packed <- err
	}()
	err := run([]string{"tar", "-xmf", "-", "-C", path.Dir(target)}, r, io.Discard)
	r.Close()
	if packing := <-packed; err == nil && !errors.Is(packing, io.ErrClosedPipe) {
		err = packing
	}
	return err
}

// pack writes what is below local as an archive of name.
func pack(local, name string, w io.Writer) error {
	archive := tar.NewWriter(w)
	err := filepath.WalkDir(local, func(file string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(local, file)
		if err != nil {
			return err
		}
		return packOne(archive, file, path.Join(name, filepath.ToSlash(below)))
	})
	return errors.Join(err, archive.Close())
}

func packOne(archive *tar.Writer, file, name string) error {
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(file); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, filepath.ToSlash(link))
	if err != nil {
		return err
	}
	header.Name = name
	if err := archive.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	content, err := os.Open(file)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(archive, content)
	return err
}

// download unpacks what the container's tar packs of source. Where the target
// is a directory, it goes into it.
func download(source, target string, run remoteRun) error {
	if info, err := os.Stat(target); err == nil && info.IsDir() {
		target = filepath.Join(target, path.Base(source))
	}
	r, w := io.Pipe()
	ran := make(chan error, 1)
	go func() {
		err := run([]string{"tar", "-cf", "-", "-C", path.Dir(source), path.Base(source)}, nil, w)
		w.CloseWithError(err)
		ran <- err
	}()
	err := unpack(r, path.Base(source), target)
	r.Close()
	if failed := <-ran; !errors.Is(err, failed) {
		return errors.Join(err, failed)
	}
	return err
}

// unpack writes an archive of name to target, and nothing outside of it,
// whatever the archive says.
func unpack(r io.Reader, name, target string) error {
	parent, err := os.OpenRoot(filepath.Dir(target))
	if err != nil {
		return err
	}
	defer parent.Close()
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		entry := path.Clean(header.Name)
		below, inside := strings.CutPrefix(entry+"/", name+"/")
		if !inside || !filepath.IsLocal(filepath.FromSlash(entry)) {
			return fmt.Errorf("the container's archive holds %q, which is not below %s", header.Name, name)
		}
		if err := unpackOne(parent, filepath.Join(filepath.Base(target), filepath.FromSlash(below)), header, archive); err != nil {
			return err
		}
	}
}

// unpackOne leaves out links, which might lead anywhere, as kubectl does.
func unpackOne(parent *os.Root, file string, header *tar.Header, content io.Reader) error {
	switch header.Typeflag {
	case tar.TypeDir:
		return parent.MkdirAll(file, 0o755)
	case tar.TypeReg:
		if err := parent.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		out, err := parent.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, header.FileInfo().Mode().Perm())
		if err != nil {
			return err
		}
		_, err = io.Copy(out, content)
		return errors.Join(err, out.Close())
	}
	return nil
}
