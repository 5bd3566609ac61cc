package demo

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers/sandbox"
)

// storyDay is the day that the story of these tests is about. The story as a whole is played where a bridge can be
// built.
var storyDay = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func TestTheStoryHoldsWhatMustNotShow(t *testing.T) {
	var posts bytes.Buffer
	for _, step := range daySteps() {
		if step.act != nil || step.looks { // no post
			continue
		}
		body, err := step.body(storyDay)
		if err != nil {
			t.Fatal(err)
		}
		posts.Write(body)
	}
	for _, word := range personal {
		if !strings.Contains(posts.String(), word) && !strings.Contains(posts.String(), strings.Trim(word, `"`)) {
			t.Errorf("%q is in no post: looking for it proves nothing", word)
		}
	}
}

func TestADifferenceNamesWhatPeopleCanSee(t *testing.T) {
	channels := []sandbox.Channel{{Name: "#a"}, {Name: "#b"}}
	before := snapshot{
		channels: channels,
		messages: map[string][]sandbox.Message{"#a": {{TS: "1", Text: "one"}}},
		incidents: []sandbox.Incident{{Number: 1, Summary: "x", Status: "triggered", Triggers: 1},
			{Number: 2, Summary: "y", Status: "triggered", Triggers: 1}},
		changes: []sandbox.ChangeEvent{{Number: 1, Summary: "old"}},
	}
	after := snapshot{
		channels: channels,
		messages: map[string][]sandbox.Message{
			"#a": {{TS: "1", Text: "one, edited", Edited: 1}, {TS: "3", ThreadTS: "1", Text: ":arrow_up: three &amp; more"}},
			"#b": {{TS: "2", Text: "two"}},
		},
		incidents: []sandbox.Incident{{Number: 1, Summary: "x", Status: "triggered", Triggers: 2},
			{Number: 2, Summary: "y", Status: "resolved", Triggers: 1}, {Number: 3, Summary: "z"}},
		changes: []sandbox.ChangeEvent{{Number: 1, Summary: "old"}, {Number: 2, Summary: "new"}},
	}
	want := []change{
		{"#a", "message edited", "", "one, edited"}, {"#a", "line in thread", "", "three & more"},
		{"#b", "new message", "", "two"},
		{"PagerDuty", "incident updated", "#1", "x"}, {"PagerDuty", "incident resolved", "#2", "y"},
		{"PagerDuty", "somebody is paged", "#3", "z"},
		{"PagerDuty", "change event", "", "new"},
	}
	if diff := cmp.Diff(want, difference(before, after), cmp.AllowUnexported(change{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := difference(after, after); got != nil {
		t.Errorf("nothing changed, and the difference is %v", got)
	}
}

func TestAVerdictIsGoodOnlyIfEverythingIsAsItShouldBe(t *testing.T) {
	want := []fact{{"cards", "2"}, {"pages", "1"}}
	for _, c := range []struct {
		name string
		got  []fact
		ok   bool
		says string
	}{
		{"the same", []fact{{"cards", "2"}, {"pages", "1"}}, true, "✔ cards"},
		{"another value", []fact{{"cards", "2"}, {"pages", "3"}}, false, "3; expected: 1"},
		{"something more", []fact{{"cards", "2"}, {"pages", "1"}, {"leaks", "1"}}, false, "1; expected: nothing"},
		{"something less", []fact{{"cards", "2"}}, false, "nothing; expected: 1"},
	} {
		var out bytes.Buffer
		if ok := (teller{w: &out}).verdict(c.got, want); ok != c.ok || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %t\n%s", c.name, ok, &out)
		}
	}
}

// TestTheDemoCarriesTheExampleRules holds the copy that the binary carries: go:embed cannot reach the original.
func TestTheDemoCarriesTheExampleRules(t *testing.T) {
	example, err := os.ReadFile("../../../rules.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(exampleRules, example) {
		t.Error("cmd/flowbridge/demo/rules.example.yaml differs from rules.example.yaml: copy the latter over it")
	}
}
