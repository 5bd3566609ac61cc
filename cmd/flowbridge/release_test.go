package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestTheReleaseIsMadeOfWhatThereIs holds the file of goreleaser: its parts, the files that it names, and what it sets.
func TestTheReleaseIsMadeOfWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("../../.goreleaser.yaml")
	must(t, err)
	var file map[string]any
	must(t, yaml.Unmarshal(text, &file))
	parts := []string{"version", "project_name", "before", "builds", "archives", "nfpms", "dockers_v2", "checksum",
		"sboms", "signs", "docker_signs", "changelog"}
	for _, part := range parts {
		if file[part] == nil {
			t.Errorf("it has no %s", part)
		}
	}
	for part := range file {
		if !slices.Contains(parts, part) {
			t.Errorf("%s is no part of goreleaser's that is known here", part)
		}
	}
	for _, m := range regexp.MustCompile(`src: ([^,]+),`).FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat("../../" + m[1]); err != nil {
			t.Error(err)
		}
	}
	code, err := os.ReadFile("version.go")
	must(t, err)
	set := regexp.MustCompile(`-X main\.(\w+)=`).FindAllStringSubmatch(string(text), -1)
	if len(set) != 3 {
		t.Errorf("it sets %d variables", len(set))
	}
	declared := regexp.MustCompile(`(?m)^var (.*) string$`).FindStringSubmatch(string(code))
	for _, m := range set {
		if declared == nil || !slices.Contains(strings.Split(declared[1], ", "), m[1]) {
			t.Errorf("there is no variable %s", m[1])
		}
	}
	if !strings.Contains(string(text), "flags: [-trimpath]") {
		t.Error("it builds without -trimpath")
	}
}
