//go:build !race

package store_test

// histories bounds how many are played.
const histories = 100_000
