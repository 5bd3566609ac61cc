//go:build unix && !linux

package storetest

// InMemory does nothing: this system has no file system in memory that every machine has.
func InMemory() {}
