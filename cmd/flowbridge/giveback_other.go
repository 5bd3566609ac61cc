//go:build !linux

package main

import "runtime/debug"

// giveBack frees memory that a start used, and nothing else does: what is free of the heap.
func giveBack() { debug.FreeOSMemory() }
