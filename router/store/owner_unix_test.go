//go:build unix

package store_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"flowbridge/router/store"
)

// TestACopyThatRootMakesBelongsToTheBridgesUser holds that the user that serves can open it.
func TestACopyThatRootMakesBelongsToTheBridgesUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root may give a file away")
	}
	dir := t.TempDir()
	path, file := filepath.Join(dir, "bridge.db"), filepath.Join(dir, "copy.db")
	s, err := store.Open(t.Context(), store.Config{DSN: path})
	check(t, err)
	check(t, s.Close())
	const user, group = 65532, 65533
	check(t, os.Chown(path, user, group))
	check(t, store.Backup(t.Context(), path, file))
	info, err := os.Stat(file)
	check(t, err)
	owner := info.Sys().(*syscall.Stat_t)
	if owner.Uid != user || owner.Gid != group || info.Mode() != 0o600 {
		t.Errorf("the copy is of %d:%d with %v, want %d:%d with -rw-------", owner.Uid, owner.Gid, info.Mode(), user, group)
	}
}
