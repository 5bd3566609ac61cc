package storetest

import (
	"os"
	"syscall"
)

// shm is the file system of Linux that is in memory, and room is what must be free there for a whole package of tests:
// databases of PostgreSQL are the most of it. tmpfs is of statfs(2).
const (
	shm   = "/dev/shm"
	room  = 4 << 30
	tmpfs = 0x01021994
)

// memory returns a folder in memory for databases, "" where there is none, or no room.
func memory() string {
	var fs syscall.Statfs_t
	if syscall.Statfs(shm, &fs) != nil || int64(fs.Type) != tmpfs || fs.Bavail*uint64(fs.Bsize) < room {
		return ""
	}
	return shm
}

// InMemory has this process keep its temporary files in memory, if TMPDIR is not set and there is room. It is for
// packages whose tests make little but databases, and called before the first test. See TempDir.
func InMemory() {
	if os.Getenv("TMPDIR") == "" && memory() != "" {
		_ = os.Setenv("TMPDIR", memory()) // else it takes longer
	}
}
