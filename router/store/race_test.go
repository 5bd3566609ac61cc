//go:build race

package store_test

// histories bounds how many are played: under the race detector SQLite, which is Go, is ten times slower.
const histories = 15
