//go:build !race

package main

const (
	usualSeeds = 25
	storm      = 400
)
