package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	maxColumns       = 120
	maxFunctionLines = 60 // of what the program is made of; the tables of tests are longer
)

// TestCodeFitsItsPage holds the length of lines and functions. Only a line of a raw string may be longer: a tag, a
// query, a text as it is.
func TestCodeFitsItsPage(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		raw := map[int]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if strings.HasPrefix(n.Value, "`") {
					for line := files.Position(n.Pos()).Line; line <= files.Position(n.End()).Line; line++ {
						raw[line] = true
					}
				}
			case *ast.FuncDecl:
				if lines := files.Position(n.End()).Line - files.Position(n.Pos()).Line + 1; lines > maxFunctionLines &&
					!strings.HasSuffix(path, "_test.go") {
					t.Errorf("%s: %s has %d lines, more than %d", files.Position(n.Pos()), n.Name.Name, lines, maxFunctionLines)
				}
			}
			return true
		})
		for i, line := range strings.Split(string(source), "\n") {
			if n := utf8.RuneCountInString(line); n > maxColumns && !raw[i+1] {
				t.Errorf("%s:%d has %d columns, more than %d", path, i+1, n, maxColumns)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
