package rules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryWarningHasItsPlace(t *testing.T) {
	paths, err := filepath.Glob("testdata/warnings/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rules, found := Check([]File{{filepath.Base(path), data}}, testConfig())
			if rules == nil || len(found.Faults()) > 0 {
				t.Fatal(found)
			}
			if strings.Contains(found.Error(), "xoxb") || strings.Contains(found.Error(), "0123456789abcdef") {
				t.Error("a secret leaks")
			}
			checkGolden(t, strings.TrimSuffix(path, ".yaml")+".want", found.Error()+"\n")
		})
	}
}

func TestTheExampleGetsNoWarning(t *testing.T) {
	data, err := os.ReadFile("../../rules.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, found := Check([]File{{"rules.example.yaml", data}}, testConfig()); len(found) > 0 {
		t.Error(found)
	}
}
