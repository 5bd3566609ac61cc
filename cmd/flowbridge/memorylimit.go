package main

import (
	"context"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"time"

	"flowbridge/router"
)

const (
	// besideHeap is what a bridge has that is not the Go runtime's: the program's file, the caches of SQLite's
	// connections, and some of what the kernel caches of files, without which each page of them is read again and again.
	besideHeap = 48 << 20 // bytes
	// littleMemory is what a storm of posts needs, with twenty people who look at lists meanwhile.
	littleMemory = 128 << 20 // bytes
)

// memoryKeeper makes the garbage collector work harder rather than let this process come to the limit of its control
// group: there it is killed, or reads its own program from the disk again and again and answers nobody.
type memoryKeeper struct {
	limit  func() int64     // of the group, in bytes; 0 for none
	set    func(heap int64) // tells the runtime, in bytes
	logger *slog.Logger
	last   int64
}

// limitEvery is how often the limit is read: it may be changed while a process runs, as of a container or a pod.
const limitEvery = 10 * time.Second

// run looks again and again, until ctx ends.
func (k *memoryKeeper) run(ctx context.Context) {
	for router.Sleep(ctx, limitEvery) {
		k.look()
	}
}

// look takes in a limit that is another than at the last look. Where there is none any more the last one stays: it may
// be that no more files can be opened, and it cannot be read.
func (k *memoryKeeper) look() {
	limit := k.limit()
	if limit <= 0 || limit == k.last {
		return
	}
	k.last = limit
	k.set(max(limit-besideHeap, limit*2/5))
	if limit < littleMemory {
		k.logger.Warn("the control group leaves little memory: a storm needs more", "bytes", limit, "do",
			"raise the limit of the container or unit to 128 MiB; 256 are better")
	}
}

// groupLimit returns the least memory that the control groups of this process may have, in bytes; 0 for no limit, or
// none that can be read. files is the root of the file system. See cgroups(7): version 2 has one tree of groups, in
// version 1 memory has one of its own, and in a container the group may be the root of what is mounted.
func groupLimit(files fs.FS) (least int64) {
	text, err := fs.ReadFile(files, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy, controllers, group
		if len(parts) != 3 {
			continue
		}
		tree, names := "sys/fs/cgroup", []string{"memory.max", "memory.high"}
		switch {
		case parts[1] == "memory":
			tree, names = "sys/fs/cgroup/memory", []string{"memory.limit_in_bytes"}
		case parts[1] != "":
			continue
		}
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			for _, name := range names {
				value, err := fs.ReadFile(files, path.Join(tree, group, name))
				if err != nil {
					continue // it may be outside of what is mounted here
				}
				// "max" is no number, and version 1 says with nearly the largest one that there is no limit.
				n, err := strconv.ParseInt(strings.TrimSpace(string(value)), 10, 64)
				if err == nil && n > 0 && n < 1<<50 && (least == 0 || n < least) {
					least = n
				}
			}
			if group == "/" {
				break
			}
		}
	}
	return least
}
