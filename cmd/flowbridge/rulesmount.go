package main

import (
	"io/fs"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// warnOfLoneMount says once that a rules file is mounted by itself, as docker's -v FILE:FILE and the subPath of
// Kubernetes do it. Such a mount keeps the file that was there at the start. Editors, git and sed -i write a new file
// that takes the old one's name, and that is never seen. files is the root of the file system.
func warnOfLoneMount(rules string, files fs.FS, logger *slog.Logger) {
	paths, err := rulesFiles(rules)
	if err != nil {
		return // reading them says why
	}
	mounted := mountPoints(files)
	for _, path := range paths {
		whole, err := filepath.Abs(path) // and clean
		if err == nil {
			whole, err = filepath.EvalSymlinks(whole)
		}
		if err == nil && slices.Contains(mounted, whole) {
			logger.Warn("the rules file is mounted by itself: a file that replaces it is not seen, by a reload neither", "rules",
				whole, "do", "mount the folder that it is in, such as -v ./rules:"+filepath.Dir(whole)+":ro")
			return
		}
	}
}

// mountPoints returns what is mounted for this process, as Linux lists it; nothing elsewhere. files is the root of the
// file system. See proc_pid_mountinfo(5): the fifth field of a line is the mount point.
func mountPoints(files fs.FS) (points []string) {
	text, err := fs.ReadFile(files, "proc/self/mountinfo")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			points = append(points, unescapeMount(fields[4]))
		}
	}
	return points
}

// escapedInMount is a space, a tab, a line feed, a backslash or # as the kernel writes it there.
var escapedInMount = regexp.MustCompile(`\\[0-7]{3}`)

func unescapeMount(name string) string {
	return escapedInMount.ReplaceAllStringFunc(name, func(octal string) string {
		n, err := strconv.ParseUint(octal[1:], 8, 8)
		if err != nil { // \777 is no byte
			return octal
		}
		return string([]byte{byte(n)})
	})
}
