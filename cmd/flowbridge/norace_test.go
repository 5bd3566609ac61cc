//go:build !race

package main

const (
	usualSeeds = 40
	storm      = 400
)
