//go:build unix && !linux

package storetest

// memory returns "": this system has no file system in memory that every machine has.
func memory() string { return "" }

// InMemory does nothing here.
func InMemory() {}
