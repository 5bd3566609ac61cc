package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"flowbridge/router/rules"
)

type checkCommand struct {
	Files   []string `arg:"" name:"file" complete:"file" help:"Rules files, or folders of them: the files of a folder are one set of rules; - is standard input."`
	Strict  bool     `help:"Take warnings for faults, and incidents that --against lists."`
	JSON    bool     `name:"json" xor:"form" help:"Print a JSON array of mistakes and warnings, for editors and CI."`
	Against string   `xor:"form" placeholder:"URL" help:"List the open incidents of the bridge with this admin address that the rules would route elsewhere."`
}

// Run reads every file or folder and prints every mistake and warning of all of them, one a line.
func (c checkCommand) Run(ctx context.Context, p *program) error {
	bad := false
	all := []finding{} // never null in JSON
	for _, path := range c.Files {
		found, err := p.checkRules(path)
		if path == "-" {
			path = stdinName
		}
		faults := len(found.Faults())
		bad = bad || err != nil || faults > 0 || c.Strict && len(found) > 0
		switch {
		case c.JSON:
			all = append(all, findings(path, found, err)...)
			continue
		case err != nil:
			fmt.Fprintln(p.Stdout, err)
			continue
		case len(found) > 0:
			fmt.Fprintln(p.Stdout, found.Error())
		}
		switch warnings := len(found) - faults; {
		case faults > 0 || c.Strict && warnings > 0:
		case warnings == 1:
			fmt.Fprintf(p.Stdout, "%s: ok, with a warning\n", path)
		case warnings > 1:
			fmt.Fprintf(p.Stdout, "%s: ok, with %d warnings\n", path, warnings)
		default:
			fmt.Fprintf(p.Stdout, "%s: ok\n", path)
		}
	}
	if c.JSON {
		if err := printJSON(p.Stdout, all); err != nil {
			return err
		}
	}
	if bad {
		return errFault
	}
	return c.compare(ctx, p)
}

// finding is a mistake or a warning as programs read it.
type finding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`   // from 1
	Column   int    `json:"column"` // from 1, in characters
	Path     string `json:"path"`   // within the structure; "" for the whole file
	Message  string `json:"message"`
	Hint     string `json:"hint"`
	Severity string `json:"severity"` // error or warning
}

func findings(path string, found rules.Mistakes, err error) (out []finding) {
	if fault, ok := errors.AsType[*fileError](err); ok {
		path, err = fault.path, fault.err
	}
	if err != nil {
		out = append(out, finding{File: path, Line: 1, Column: 1, Message: err.Error(), Severity: "error"})
	}
	for _, m := range found {
		f := finding{File: m.File, Line: m.Line, Column: m.Column, Path: m.Path, Message: m.Problem, Hint: m.Hint,
			Severity: "error"}
		if m.Warning {
			f.Severity = "warning"
		}
		out = append(out, f)
	}
	return out
}

func (p *program) checkRules(path string) (rules.Mistakes, error) {
	files, err := p.rulesToCheck(path)
	if err != nil {
		return nil, err
	}
	_, found := rules.Check(files, p.rulesConfig())
	return found, nil
}

// stdinName is what mistakes in rules from standard input stand in.
const stdinName = "standard input"

// rulesToCheck is readRules where - stands for standard input.
func (p *program) rulesToCheck(path string) ([]rules.File, error) {
	if path != "-" {
		return readRules(path)
	}
	data, err := readToEnd(p.Stdin, stdinName, maxRulesFile)
	return []rules.File{{Name: stdinName, Data: data}}, err
}

// loadRules reads the rules file at path, or those of the folder at path. What a person got wrong comes back as
// rules.Mistakes.
func (p *program) loadRules(path string) (*rules.Rules, error) {
	return loadRules(path, p.rulesConfig())
}

func loadRules(path string, cfg rules.Config) (*rules.Rules, error) {
	files, err := readRules(path)
	if err != nil {
		return nil, err
	}
	return rules.LoadFiles(files, cfg)
}

const (
	maxRulesFile  = 4 << 20  // of one file, as rules.Load takes it
	maxRulesFiles = 1000     // in a folder
	maxRules      = 64 << 20 // of all files together
)

// readRules reads the file at path, or the files of the folder at path.
func readRules(path string) ([]rules.File, error) {
	paths, err := rulesFiles(path)
	if err != nil {
		return nil, err
	}
	var files []rules.File
	left := maxRules
	for _, file := range paths {
		data, err := readRegular(file, maxRulesFile)
		if err != nil {
			return nil, err
		}
		if left -= len(data); left < 0 {
			return nil, &fileError{path, fmt.Errorf("has more than %d MiB of rules in it", maxRules>>20)}
		}
		files = append(files, rules.File{Name: file, Data: data})
	}
	return files, nil
}

// rulesFiles lists the files of a folder in the order of their names: those that end in .yaml or .yml and do not begin
// with a dot. Folders within it are left alone. What is no folder is the one file.
func rulesFiles(path string) (paths []string, err error) {
	if !isFolder(path) {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		return nil, newFileError(path, err)
	}
	for _, e := range entries {
		if file := filepath.Join(path, e.Name()); isRulesFile(e.Name()) && !isFolder(file) {
			paths = append(paths, file)
		}
	}
	switch {
	case len(paths) == 0:
		return nil, &fileError{path, errors.New("has no *.yaml or *.yml in it")}
	case len(paths) > maxRulesFiles:
		return nil, &fileError{path, fmt.Errorf("has more than %d rules files", maxRulesFiles)}
	}
	return paths, nil
}

// isFolder follows links: in Kubernetes every file is one.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
