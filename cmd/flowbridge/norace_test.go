//go:build !race

package main

const (
	usualSeeds = 25
	sideBySide = "24" // tests at a time: most wait for another process and not for a processor
	underRace  = false
	storm      = 400
)
