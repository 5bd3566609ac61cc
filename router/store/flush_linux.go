//go:build amd64 || arm64

package store

import (
	"os"
	"syscall"
)

// flush has what is written to a file go to the disk, and waits for nothing.
func flush(f *os.File) {
	const write = 2 // SYNC_FILE_RANGE_WRITE
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = syscall.SyncFileRange(int(fd), 0, 0, write) })
}
