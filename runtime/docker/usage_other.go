//go:build !unix

package docker

import "io/fs"

// allocated is what a file takes on the disk.
func allocated(info fs.FileInfo) int64 { return info.Size() }
