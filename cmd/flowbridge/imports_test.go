package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestRoomsImportOnlyWhatTheyMay holds the shape of the house: router knows nobody, the rooms below it know
// router and not each other, notifiers never reach into the rooms of router, and nobody imports cmd.
func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	out, err := exec.Command("go", "list", "-test=false", "-json=ImportPath,Imports,TestImports,XTestImports", "flowbridge/...").Output()
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
		if slices.Contains(p.Imports, storetest) {
			t.Errorf("%s must not import %s: only tests do", p.ImportPath, storetest)
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if strings.HasPrefix(imported, "flowbridge") && imported != p.ImportPath && !mayImport(p.ImportPath, imported) {
				t.Errorf("%s must not import %s", p.ImportPath, imported)
			}
		}
	}
}

const storetest = "flowbridge/router/store/storetest" // a database for tests

func mayImport(importer, imported string) bool {
	switch {
	case strings.HasPrefix(imported, "flowbridge/cmd/"):
		return false
	case strings.HasPrefix(importer, "flowbridge/cmd/"):
		return true
	case strings.HasPrefix(importer, "flowbridge/router/"):
		return imported == "flowbridge/router" || imported == storetest && strings.HasPrefix(importer, "flowbridge/router/store")
	case importer == "flowbridge/notifiers":
		return imported == "flowbridge/router"
	case strings.HasPrefix(importer, "flowbridge/notifiers/"):
		return imported == "flowbridge/router" || strings.HasPrefix(imported, "flowbridge/notifiers")
	}
	return false // flowbridge/router imports nothing of ours
}
