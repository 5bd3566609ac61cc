// Package stories plays the tests of a rules file: it reads what happens and what each notifier should be told, folds
// that through the rules in memory, and says where the two differ. Reading rules and deciding is left to package rules,
// making an event of what a story says of it to the caller.
package stories

import (
	"encoding/json"
	"fmt"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/rules/yamldoc"
)

// File is a file of stories, and the rules that they are about.
type File struct {
	Rules   *rules.Rules
	Stories []Story
}

// Story is one test.
type Story struct {
	Name  string
	Place yamldoc.Place
	Start time.Time
	Steps []Step
}

// Step is one thing that happens, and what is expected of it.
type Step struct {
	Place yamldoc.Place
	Until time.Time // the clock is moved to it first; zero: it stays
	Event *Event    // or
	Act   *Act      // or neither: only time passes
	title string

	told    []expectation
	strict  bool // it says `told`: whoever is told and is not named there should not be
	notTold []expectation
}

// Event is an event in the short form in which stories tell it. What is left out takes what is usual.
type Event struct {
	Name        string
	Field       string // of the account: flows, messages or another
	WABA        string
	Flow        string        // id
	Late        time.Duration // how long ago it happened, by Meta's clock
	Threshold   *float64      // percent, or milliseconds for latency
	Value       *float64      // in the unit of the threshold
	AlertState  string
	OldStatus   string
	NewStatus   string
	ErrorType   string
	Change      string          // Meta's word for what happened to another subject than a flow
	Phone       string          // that it happened to: its digits, however they are written
	Template    string          // that it happened to: its name, with or without "(en_US)", or its id
	With        json.RawMessage // an object whose members replace those of Meta's value, or of the answers of a form
	WholeValue  json.RawMessage // Meta's value as a whole; the fields above are zero then, but for Field, WABA and Late
	description string
}

// Act is what a person does.
type Act struct {
	Name    string // router.Acknowledge and the like
	By      string
	Through string // notifier in whose service it is done; "" for the console
	// These narrow which incident is meant.
	Flow            string // id
	Phone, Template string // as in Event
	Event           string

	Silence *Silence
}

// Silence is a silence that is added or ended.
type Silence struct {
	ID    string
	For   time.Duration // 0: until what it covers has recovered
	Why   string
	Scope router.Scope
}

// expectation is one telling that a story names.
type expectation struct {
	place    yamldoc.Place
	notifier string
	verb     Verb            // "" for anything that reaches people
	severity router.Severity // SeverityUnset for any
}

func (x *expectation) String() string {
	switch {
	case x.verb == "":
		return x.notifier + ": anything"
	case x.severity == router.SeverityUnset:
		return fmt.Sprintf("%s: %s", x.notifier, x.verb)
	}
	return fmt.Sprintf("%s: %s %s", x.notifier, x.verb, x.severity)
}

// fits says whether a telling is what is expected.
func (x *expectation) fits(t *Telling) bool {
	if x.notifier != t.Notifier {
		return false
	}
	if x.verb == "" {
		return !t.Verb.Quiet()
	}
	return x.verb == t.Verb && (x.severity == router.SeverityUnset || x.severity == t.Severity)
}

// Result is how a story went.
type Result struct {
	Steps []StepResult // up to the first that could not be carried out
	Hits  map[string]int64
}

// Failed says whether some step did not go as the story says.
func (r *Result) Failed() bool {
	for i := range r.Steps {
		if r.Steps[i].Failed() {
			return true
		}
	}
	return false
}

// StepResult is how a step went.
type StepResult struct {
	Place   yamldoc.Place
	Title   string
	At      time.Time // the clock afterwards
	Outcome string    // what came of the event, in one line
	Problem string    // why the step could not be carried out
	Told    []Telling
	Batches []router.Batch // what the fold came to, in order: timelines, and what is owed
	Diff    []DiffLine     // empty if all was as expected
}

// Failed says whether the step did not go as the story says.
func (r *StepResult) Failed() bool { return r.Problem != "" || len(r.Diff) > 0 }

// DiffLine is something that was wanted or got. Sign is '-' for what is missing, '+' for what nobody expected, ' ' for
// what is as expected.
type DiffLine struct {
	Sign  rune
	Text  string
	Note  string        // why it was told
	Place yamldoc.Place // of what was wanted, in the story; of the rule behind what was got
}

// EventBuilder makes of a story's event what the bridge would have read from Meta's post.
type EventBuilder func(e *Event, now time.Time) ([]router.Event, error)

// Run plays a story.
func (f *File) Run(story *Story, build EventBuilder) Result {
	p := player{rules: f.Rules, trial: NewTrial(f.Rules), build: build, flows: map[router.FlowID]bool{}}
	p.trial.Advance(story.Start)
	var result Result
	for i := range story.Steps {
		step := p.step(&story.Steps[i])
		result.Steps = append(result.Steps, step)
		if step.Problem != "" {
			break // what follows would fail for no reason of its own
		}
	}
	result.Hits = p.trial.Hits()
	return result
}
