package main

import (
	"crypto/sha256"
	"path/filepath"

	"flowbridge/router"
	"flowbridge/router/rules"
)

// loadedRules are rules with what tells them apart from those that stand in the files later.
type loadedRules struct {
	rules  *rules.Rules // nil where they have mistakes
	files  string       // stamp of the rules files, from before they were read
	keys   keyFiles
	folder string             // where the rules are
	many   bool               // all files of the folder are the rules, and not one of them
	shown  []router.RulesFile // what they say, without credentials

	readKey func(path string) ([]byte, error)
}

// keyFiles are the files that ${file:PATH} names in rules, with what was read from each. They are watched like the
// rules.
type keyFiles map[string]keySum

// keySum tells apart what a file holds, or why it could not be read, and is no secret.
type keySum [sha256.Size]byte

func sumKey(data []byte, err error) keySum {
	if err != nil {
		return sha256.Sum256([]byte("cannot be read: " + err.Error()))
	}
	return sha256.Sum256(append([]byte("holds: "), data...))
}

// changed says whether some file holds something else by now. They are small and few, so that they are read: one may be
// replaced by another of the same size and time.
func (k keyFiles) changed(read func(path string) ([]byte, error)) bool {
	for path, was := range k {
		if sumKey(read(path)) != was {
			return true
		}
	}
	return false
}

// names says whether a path, as a watcher tells it, is one of the files.
func (k keyFiles) names(path string) bool {
	for key := range k {
		if filepath.Clean(key) == path {
			return true
		}
	}
	return false
}

// rulesReader returns what reads the rules at a path while the bridge runs, and notes the key files that they name.
func rulesReader(cfg rules.Config) func(path string) (loadedRules, error) {
	return func(path string) (loadedRules, error) {
		// before they are read: what changes meanwhile is seen later
		loaded := loadedRules{files: stamp(path), keys: keyFiles{}}
		loaded.folder, loaded.many = filepath.Dir(path), isFolder(path)
		if loaded.many {
			loaded.folder = filepath.Clean(path)
		}
		noting := cfg
		noting.ReadFile = func(path string) ([]byte, error) {
			data, err := cfg.ReadFile(path)
			loaded.keys[path] = sumKey(data, err)
			return data, err
		}
		loaded.readKey = cfg.ReadFile
		files, err := readRules(path)
		if err != nil {
			return loaded, err
		}
		loaded.shown = rules.Shown(files)
		noting.Version = rules.Digest(loaded.shown)
		loaded.rules, err = rules.LoadFiles(files, noting)
		return loaded, err
	}
}
