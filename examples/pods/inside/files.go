package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// files looks at files and writes them, for those who have no shell in the
// container:
//
//	/inside show PATH...      mode, owner, group and what is in it
//	/inside write PATH TEXT   write a file
//	/inside fill PATH BYTES   write a file that large
func files(args []string) error {
	switch {
	case args[0] == "show":
		var errs []error
		for _, path := range args[1:] {
			errs = append(errs, show(path))
		}
		return errors.Join(errs...)
	case args[0] == "write" && len(args) == 3:
		return os.WriteFile(args[1], []byte(args[2]), 0o644)
	case args[0] == "fill" && len(args) == 3:
		size, err := strconv.ParseUint(args[2], 10, 30)
		if err != nil {
			return err
		}
		return os.WriteFile(args[1], make([]byte, size), 0o644)
	}
	return fmt.Errorf("no such command: %q", args)
}

func show(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	fmt.Printf("%s %s %d:%d", path, info.Mode(), owner.Uid, owner.Gid)
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		for _, e := range entries {
			fmt.Printf(" %s", e.Name())
		}
		fmt.Println()
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fmt.Printf(" %s\n", content)
	return nil
}
