//go:build linux || darwin

package main

import (
	"syscall"

	"flowbridge/cmd/flowbridge/watch"
)

// diskOf returns the room where a file is; nil where that cannot be seen.
func diskOf(path string) *watch.Disk {
	var fs syscall.Statfs_t
	if syscall.Statfs(path, &fs) != nil {
		return nil
	}
	block := uint64(fs.Bsize)
	return &watch.Disk{Free: fs.Bavail * block, Size: fs.Blocks * block}
}
