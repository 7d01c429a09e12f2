//go:build unix

package node

import "syscall"

// diskSize is the size of the file system that volumes are on, 0 where it is
// not known.
func diskSize(dir string) int64 {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0
	}
	return int64(fs.Blocks) * int64(fs.Bsize)
}
