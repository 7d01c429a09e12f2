//go:build unix

package docker

import (
	"io/fs"
	"syscall"
)

// allocated is what a file takes on the disk; sparse files take less than they
// are long.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512
	}
	return info.Size()
}
