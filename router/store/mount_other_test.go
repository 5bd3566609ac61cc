//go:build !linux

package store

import "testing"

func mount(t *testing.T, _, _ string) {
	t.Helper()
	t.Skip("a small file system is only mounted on Linux")
}
