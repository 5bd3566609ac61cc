package main

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"flowbridge/router/rules/yamldoc"
)

// manual is the manual, a file for each page.
//
//go:embed docs/*.md
var manual embed.FS

// manualFiles are the pages alone, for the console.
func manualFiles() fs.FS {
	files, err := fs.Sub(manual, "docs")
	if err != nil {
		panic(err) // it is part of the binary
	}
	return files
}

// manualPages are its pages, in the order in which they are read.
var manualPages = []string{
	"connect", "rules", "rules-reference", "account-health", "testing-rules", "running", "deploying", "console",
	"commands", "api",
	"trouble", "faults", "measurements", "security", "privacy", "decisions",
}

type docsCommand struct {
	Page string `arg:"" optional:"" complete:"pages" help:"Page to print. Default: the list of them."`
}

// Run prints a page as it is, in Markdown, or the list of pages.
func (c docsCommand) Run(p *program) error {
	if c.Page == "" {
		for _, name := range manualPages {
			title, _, _ := strings.Cut(manualPage(name), "\n")
			fmt.Fprintf(p.Stdout, "%-17s%s\n", name, strings.TrimPrefix(title, "# "))
		}
		_, err := fmt.Fprintln(p.Stdout, "\nPrint one with: flowbridge docs PAGE")
		return err
	}
	name := strings.TrimSuffix(c.Page, ".md") // as pages name each other
	if !slices.Contains(manualPages, name) {
		hint := ""
		if near := yamldoc.Nearest(name, manualPages); near != "" {
			hint = fmt.Sprintf(": did you mean %q?", near)
		}
		return wrongUsage("the manual has no page %q%s (pages: %s)", c.Page, hint, strings.Join(manualPages, ", "))
	}
	_, err := fmt.Fprint(p.Stdout, manualPage(name))
	return err
}

// manualPage returns the text of a page.
func manualPage(name string) string {
	text, err := manual.ReadFile("docs/" + name + ".md")
	if err != nil {
		panic(err) // it is part of the binary
	}
	return string(text)
}
