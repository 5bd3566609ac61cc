//go:build linux || darwin

package main

import (
	"math"
	"syscall"
)

// fileLimit returns how many file descriptors this process may have.
func fileLimit() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxUint64
	}
	return limit.Cur
}
