package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"flowbridge/router"
)

// TestRoomsImportOnlyWhatTheyMay holds the shape of the house: router knows nobody, the rooms below it know router and
// what the table lets them know, notifiers never reach into the rooms of router, and only the program imports the rooms
// below it.
func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-test=false", "-json=ImportPath,Imports,TestImports,XTestImports",
		"flowbridge/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, only := range []string{storetest, testkit} {
			if slices.Contains(p.Imports, only) {
				t.Errorf("%s must not import %s: only tests do", p.ImportPath, only)
			}
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if strings.HasPrefix(imported, "flowbridge") && imported != p.ImportPath && !mayImport(p.ImportPath, imported) {
				t.Errorf("%s must not import %s", p.ImportPath, imported)
			}
		}
	}
}

const (
	command   = "flowbridge/cmd/flowbridge"
	storetest = "flowbridge/router/store/storetest"        // a database for tests
	testkit   = "flowbridge/notifiers/sandbox/sandboxtest" // what tests share
)

// insideRules says which rooms around the rules know which of each other.
var insideRules = map[string][]string{
	"flowbridge/router/rules":         {"flowbridge/router/rules/yamldoc"},
	"flowbridge/router/rules/stories": {"flowbridge/router/rules", "flowbridge/router/rules/yamldoc"},
}

func mayImport(importer, imported string) bool {
	switch {
	case strings.HasPrefix(imported, command):
		return importer == command
	case strings.HasPrefix(importer, command):
		return true
	case importer == "flowbridge/router/rules/yamldoc":
		return false // it knows YAML, and nothing of ours
	case slices.Contains(insideRules[importer], imported):
		return true
	case strings.HasPrefix(importer, "flowbridge/router/"):
		return imported == "flowbridge/router" || imported == storetest &&
			strings.HasPrefix(importer, "flowbridge/router/store")
	case importer == "flowbridge/notifiers":
		return imported == "flowbridge/router"
	case strings.HasPrefix(importer, "flowbridge/notifiers/"):
		return imported == "flowbridge/router" || strings.HasPrefix(imported, "flowbridge/notifiers")
	}
	return false // flowbridge/router imports nothing of ours
}

// TestNobodyAsksWhichKindItIs holds that a new kind touches its own package, the table of kinds and the list of this
// program: nobody else names a kind or compares with one, but asks what it can.
func TestNobodyAsksWhichKindItIs(t *testing.T) {
	t.Parallel()
	var words []string
	for _, kind := range router.Kinds() {
		words = append(words, string(kind))
	}
	any := strings.Join(words, "|")
	asks := regexp.MustCompile(`(?i:\brouter\.Kind(` + any + `)\b)|(==|!=|case)\s*("(` + any + `)"|(` + any +
		`)\.Kind\b)|kind\s*(=|<>|IN \()\s*'(` + any + `)'`)
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		name := filepath.ToSlash(strings.TrimPrefix(path, "../../"))
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && entry.Name() != "..":
			return fs.SkipDir
		case !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"), name == "router/kind.go",
			name == "cmd/flowbridge/notifierkinds.go":
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(source), "\n") {
			found := asks.FindString(line)
			own := strings.Split(name, "/")
			if found != "" && !(own[0] == "notifiers" && strings.EqualFold(found, "router.Kind"+own[1])) {
				t.Errorf("%s:%d: it asks which kind it is (%s): ask router.Kind what it can", name, i+1, found)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
