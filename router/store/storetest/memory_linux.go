package storetest

import (
	"os"
	"syscall"
)

// memory is the file system of Linux that is in memory, and room is what must be free there for a whole package of
// tests: databases of PostgreSQL are the most of it. The others are of statfs(2).
const (
	memory = "/dev/shm"
	room   = 4 << 30

	tmpfs  = 0x01021994
	noExec = 8
)

// InMemory has this process and those that it starts keep their temporary files in memory, if TMPDIR is not set and
// there is room: what a disk takes its time for, again and again, is that each commit is on it. No test cuts the power
// of this machine; one that needs a disk must say where. It is called before the first test.
func InMemory() {
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memory, &fs) != nil {
		return
	}
	if int64(fs.Type) == tmpfs && fs.Flags&noExec == 0 && fs.Bavail*uint64(fs.Bsize) >= room {
		_ = os.Setenv("TMPDIR", memory) // else it takes longer
	}
}
