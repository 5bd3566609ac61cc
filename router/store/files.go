package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
)

// private is the mode of every file of a database: it holds what was sent and told, and routing keys.
const private fs.FileMode = 0o600

// ownFile makes an empty file that nobody else may read, whatever the umask, or closes the one that is there to others.
func (s *Store) ownFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, private)
	if errors.Is(err, fs.ErrExist) && leadsNowhere(path) {
		f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY, private)
	}
	switch {
	case errors.Is(err, fs.ErrExist): // it is not opened: closing it would give up locks that this process has on it
		s.closeToOthers(path)
		if info, err := os.Stat(path); err == nil {
			return checkFile(info)
		}
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("let the user that runs flowbridge write to it and to its folder: %w", err)
	case err != nil:
		return err
	}
	return errors.Join(f.Chmod(private), f.Close())
}

// leadsNowhere says whether a name that is there is a link to a file that is not.
func leadsNowhere(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// closeToOthers takes from others what rights they have on a file of an older flowbridge, and says so.
func (s *Store) closeToOthers(path string) {
	mode, open := OpenToOthers(path)
	if !open {
		return
	}
	if err := os.Chmod(path, private); err != nil {
		s.cfg.Logger.Warn("others on this machine may read the database: let only the user that runs flowbridge", "file",
			path, "mode", mode, "error", err)
		return
	}
	s.cfg.Logger.Info("others on this machine could read the database: now only the user that runs flowbridge can", "file",
		path, "was", mode)
}

// OpenToOthers says whether anybody but its owner has rights on a file, and which mode it has.
func OpenToOthers(path string) (mode fs.FileMode, open bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || runtime.GOOS == "windows" {
		return 0, false
	}
	return info.Mode().Perm(), info.Mode().Perm()&0o077 != 0
}
