package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// TestTheExampleRulesDoWhatTheirStoriesSay runs the stories of rules.example.yaml, as `flowbridge test --cover` does:
// every rule is hit by one.
func TestTheExampleRulesDoWhatTheirStoriesSay(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) (string, bool) {
		return "",
			false
	}}
	if code := p.run(context.Background(),
		[]string{"test", "--cover", "testdata/rules.example.test.yaml"}); code != exitDone {
		t.Errorf("ended with %d\n%s", code, out.String())
	}
}
