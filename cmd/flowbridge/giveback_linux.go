package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
)

// giveBack frees memory that a start used: what is free of the heap, and the pages of the program's own file, most of
// which a start touches. The kernel has them in its cache, and maps again what is used again.
func giveBack() {
	debug.FreeOSMemory()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps") // see proc_pid_smaps(5)
	if err != nil {
		return
	}
	defer maps.Close()
	var from, to uintptr // the mapping that the lines are about, where it is one of the program's file that is only read
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		line := lines.Text()
		if name, value, _ := strings.Cut(line, ":"); !strings.Contains(name, " ") {
			if from != to && name == "Anonymous" && strings.TrimSpace(value) == "0 kB" { // what was written would be lost
				_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED)
			}
			continue
		}
		var access string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &access); err != nil || strings.Contains(access, "w") ||
			!strings.HasSuffix(line, " "+program) {
			from, to = 0, 0
		}
	}
}
