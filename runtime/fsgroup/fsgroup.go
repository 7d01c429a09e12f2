// Package fsgroup gives what is in a volume to a group, as a Pod's fsGroup asks
// for. It runs in a container that sees the volume and nothing else, so that no
// link in it leads anywhere.
package fsgroup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
)

// Command is the argument by which skiff's program does this work. A group and
// a directory follow.
const Command = "fsgroup"

// Run does what the arguments behind Command say.
func Run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s: want a group and a directory, not %q", Command, args)
	}
	group, err := strconv.ParseUint(args[0], 10, 31)
	if err != nil {
		return fmt.Errorf("%s: %w", Command, err)
	}
	return Give(ctx, args[1], int(group))
}

// What the group may do at least, as the kubelet has it. What is made in a
// directory belongs to the group, too.
const (
	fileMode = 0o660
	dirMode  = fileMode | 0o110
)

// deepest bounds the directories that are open at a time.
const deepest = 500

// atOnce is how many names of a directory are read at a time: it may have
// millions.
const atOnce = 512

// Give gives a directory and all below it to the group. The directory itself
// comes last: only when all is done does it look as if it were. What goes away
// meanwhile is left out.
func Give(ctx context.Context, dir string, group int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return below(ctx, root, ".", group, 0)
}

func below(ctx context.Context, dir *os.Root, path string, group, depth int) error {
	if depth > deepest {
		return fmt.Errorf("give %s to group %d: more than %d directories lie in each other", path, group, deepest)
	}
	open, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer open.Close()
	for {
		entries, err := open.ReadDir(atOnce)
		for _, e := range entries {
			if err := entry(ctx, dir, e.Name(), path+"/"+e.Name(), group, depth); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read directory %s: %w", path, err)
		}
	}
	return give(dir, ".", path, group)
}

func entry(ctx context.Context, dir *os.Root, name, path string, group, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return give(dir, name, path, group)
	}
	sub, err := dir.OpenRoot(name)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", path, err)
	}
	defer sub.Close()
	return below(ctx, sub, path, group, depth+1)
}

// give changes one file. Of a link only the group is changed, which is all that
// it has.
func give(dir *os.Root, name, path string, group int) error {
	if err := dir.Lchown(name, -1, group); err != nil {
		return fmt.Errorf("give %s to group %d: %w", path, group, err)
	}
	// Looked at now: the kernel takes bits from a file that changes hands.
	info, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	want := info.Mode() | fileMode
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return nil
	case info.IsDir():
		want = info.Mode() | dirMode | fs.ModeSetgid
	}
	if want == info.Mode() {
		return nil
	}
	if err := dir.Chmod(name, want); err != nil {
		return fmt.Errorf("let group %d write to %s: %w", group, path, err)
	}
	return nil
}
