package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"flowbridge/cmd/flowbridge/assets"
	"flowbridge/router/rules/yamldoc"
)

type assetsCommand struct {
	Name string `arg:"" optional:"" complete:"assets" help:"File to print. Default: the list of them."`
	Into string `placeholder:"FOLDER" complete:"file" help:"Write the file, a folder of files, or all where none is named, below this folder. What is there already is not changed."`
}

// Run prints a file as it is, writes files, or lists them.
func (c assetsCommand) Run(p *program) error {
	names := assets.Names()
	if c.Name != "" && !slices.Contains(names, c.Name) {
		hint := ""
		if near := yamldoc.Nearest(c.Name, names); near != "" {
			hint = fmt.Sprintf(": did you mean %q?", near)
		}
		return wrongUsage("there is no asset %q%s (see: flowbridge assets)", c.Name, hint)
	}
	if c.Into != "" {
		return c.write(p)
	}
	if c.Name == "" {
		for _, a := range assets.List() {
			fmt.Fprintf(p.Stdout, "%-28s%s\n", a.Name, a.About)
		}
		_, err := fmt.Fprintln(p.Stdout,
			"\nPrint one with: flowbridge assets NAME. Write them with: flowbridge assets [NAME] --into FOLDER")
		return err
	}
	text, ok := assets.Read(c.Name)
	if !ok {
		return wrongUsage("%s is a folder: write it with flowbridge assets %s --into FOLDER", c.Name, c.Name)
	}
	_, err := p.Stdout.Write(text)
	return err
}

// write writes the files that are asked for. One that is there already stays as it is, and is a fault: it may have been
// changed.
func (c assetsCommand) write(p *program) error {
	var faults []error
	for _, a := range assets.List() {
		for _, name := range a.Files {
			if c.Name != "" && c.Name != a.Name && c.Name != name {
				continue
			}
			path := filepath.Join(c.Into, filepath.FromSlash(name))
			err := writeNew(path, name)
			switch {
			case errors.Is(err, fs.ErrExist):
				faults = append(faults, fmt.Errorf("%s is there already, and stays as it is", path))
			case err != nil:
				return errors.Join(append(faults, err)...)
			default:
				fmt.Fprintln(p.Stdout, path)
			}
		}
	}
	return errors.Join(faults...)
}

// writeNew writes a file that is not there yet.
func writeNew(path, name string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	text, _ := assets.Read(name)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
