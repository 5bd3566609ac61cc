//go:build race

package main

// SQLite is Go, and ten times slower under the race detector: it sees less of what is long.
const (
	usualSeeds = 8
	sideBySide = "12" // tests at a time: most wait for another process and not for a processor
	underRace  = true
	storm      = 150 // incidents at once: more than PagerDuty takes in a minute
)
