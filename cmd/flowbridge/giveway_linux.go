package main

import (
	"os"
	"strconv"
	"syscall"
)

// giveWay lets a bridge on this machine go first: this process takes the processors that others leave. Its threads are
// changed one by one; those that they start are like them.
func giveWay() {
	const politely = 10 // nice
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, politely)
		}
	}
}
