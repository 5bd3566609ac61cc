package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// controlGroup is a folder of cgroups(7). To make one takes root.
type controlGroup string

// newControlGroup makes a group for a controller, with limits as files of version 1 or of version 2, whichever this
// machine has.
func newControlGroup(name, controller string, v1, v2 map[string]string) (g controlGroup, err error) {
	const root = "/sys/fs/cgroup"
	parent, limits := filepath.Join(root, controller), v1
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		parent, limits = root, v2
		_ = os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0o644) // else limits fail
	}
	g = controlGroup(filepath.Join(parent, name))
	if err := os.Mkdir(string(g), 0o755); err != nil {
		return g, err
	}
	for file, value := range limits {
		err = errors.Join(err, os.WriteFile(filepath.Join(string(g), file), []byte(value), 0o644))
	}
	if err != nil {
		g.remove()
	}
	return g, err
}

// procs is the file that processes are put into the group with.
func (g controlGroup) procs() string { return filepath.Join(string(g), "cgroup.procs") }

func (g controlGroup) take(pid int) error {
	return os.WriteFile(g.procs(), fmt.Append(nil, pid), 0o644)
}

// remove takes a group away whose processes have ended.
func (g controlGroup) remove() { _ = os.Remove(string(g)) }
