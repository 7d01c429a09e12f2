package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tarball packs "cf - PATH" and unpacks "xmf - -C FOLDER", the two ways in which
// "kubectl cp" calls tar.
func tarball(args []string) error {
	if len(args) < 3 || args[1] != "-" {
		return fmt.Errorf("tar: cannot do %q", args)
	}
	if strings.Contains(args[0], "c") {
		return pack(os.Stdout, args[len(args)-1])
	}
	folder := "."
	for i := range len(args) - 1 {
		if args[i] == "-C" {
			folder = args[i+1]
		}
	}
	return unpack(os.Stdin, folder)
}

func pack(to io.Writer, path string) error {
	out := tar.NewWriter(to)
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		header, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		header.Name = strings.TrimPrefix(name, "/")
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(out, f)
		return err
	})
	return errors.Join(err, out.Close())
}

func unpack(from io.Reader, folder string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	for in := tar.NewReader(from); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		f, err := root.OpenFile(filepath.Clean(header.Name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		if _, err := io.Copy(f, in); err != nil {
			return errors.Join(err, f.Close())
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
}
