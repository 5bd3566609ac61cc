//go:build unix

package store

import (
	"os"
	"syscall"
)

// giveToOwner gives a copy to who owns the original, where it may: a copy that root makes could not be opened by the
// user that serves. Else it stays with who made it, who can hand it on.
func giveToOwner(part *os.File, original string) {
	info, err := os.Stat(original)
	if err != nil {
		return
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = part.Chown(int(owner.Uid), int(owner.Gid))
	}
}
