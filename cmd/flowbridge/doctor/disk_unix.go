//go:build linux || darwin

package doctor

import "syscall"

// freeDisk returns how many bytes may still be written in a folder.
func freeDisk(dir string) (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}
