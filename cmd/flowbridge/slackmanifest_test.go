package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// TestTheManifestIsWhatSlackReads reads it as Slack does, and holds the least that the app needs.
func TestTheManifestIsWhatSlackReads(t *testing.T) {
	t.Parallel()
	type manifest struct {
		Display struct{ Name string } `yaml:"display_information"`
		Feature struct {
			Commands []struct{ Command, URL string } `yaml:"slash_commands"`
		} `yaml:"features"`
		OAuth struct{ Scopes struct{ Bot []string } } `yaml:"oauth_config"`
		Set   struct {
			Interactivity struct {
				On  bool   `yaml:"is_enabled"`
				URL string `yaml:"request_url"`
			}
			Socket bool `yaml:"socket_mode_enabled"`
		} `yaml:"settings"`
	}
	read := func(c slackManifestCommand) (m manifest) {
		t.Helper()
		var out bytes.Buffer
		if err := c.Run(&program{Stdout: &out}); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(out.Bytes(), &m); err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		return m
	}
	const hostile = "a: \"b\" # <c>\\\u0085"
	got := []manifest{read(slackManifestCommand{Name: hostile, URL: "https://x.example.com/in/"}),
		read(slackManifestCommand{Name: "flowbridge", Socket: true}),
		read(slackManifestCommand{Name: "flowbridge", Socket: true, Least: true})}
	want := make([]manifest, 3)
	for i := range want {
		want[i].OAuth.Scopes.Bot = []string{"chat:write", "chat:write.public", "channels:read", "groups:read",
			"channels:join", "channels:history", "groups:history", "commands", "usergroups:read"}
		want[i].Set.Interactivity.On = true
		want[i].Feature.Commands = []struct{ Command, URL string }{{Command: "/flows"}}
	}
	want[2].OAuth.Scopes.Bot = []string{"chat:write", "commands"}
	want[0].Display.Name, want[1].Display.Name, want[2].Display.Name = hostile, "flowbridge", "flowbridge"
	want[0].Feature.Commands[0].URL, want[0].Set.Interactivity.URL = "https://x.example.com/in/slack/commands",
		"https://x.example.com/in/slack/actions"
	want[1].Set.Socket, want[2].Set.Socket = true, true
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
