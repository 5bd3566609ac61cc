package rules

import (
	"encoding/json"
	"fmt"
	"time"

	"flowbridge/router"
)

// Stories are the tests of a rules file: what happens, and what each notifier is told.
type Stories struct {
	Rules   *Rules
	Stories []Story
}

// Story is one test.
type Story struct {
	Name  string
	Place Place
	Start time.Time
	Steps []Step
}

// Step is one thing that happens, and what is expected of it.
type Step struct {
	Place Place
	Until time.Time   // the clock is moved to it first; zero: it stays
	Event *StoryEvent // or
	Act   *StoryAct   // or neither: only time passes
	title string

	told    []expectation
	strict  bool // it says `told`: whoever is told and is not named there should not be
	notTold []expectation
}

// StoryEvent is an event in the short form in which stories tell it. What is left out takes what is usual.
type StoryEvent struct {
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
	With        json.RawMessage // an object whose members replace those of Meta's value, or of the answers of a form
	WholeValue  json.RawMessage // Meta's value as a whole; the fields above are zero then, but for Field, WABA and Late
	description string
}

// StoryAct is what a person does.
type StoryAct struct {
	Name    string // router.Acknowledge and the like
	By      string
	Through string // notifier in whose service it is done; "" for the console
	Flow    string // id; narrows which incident is meant
	Event   string
	Silence *StorySilence
}

// StorySilence is a silence that is added or ended.
type StorySilence struct {
	ID    string
	For   time.Duration // 0: until what it covers has recovered
	Why   string
	Scope router.Scope
}

// expectation is one telling that a story names.
type expectation struct {
	place    Place
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

// StoryResult is how a story went.
type StoryResult struct {
	Steps []StepResult // up to the first that could not be carried out
	Hits  map[string]int64
}

// Failed says whether some step did not go as the story says.
func (r *StoryResult) Failed() bool {
	for i := range r.Steps {
		if r.Steps[i].Failed() {
			return true
		}
	}
	return false
}

// StepResult is how a step went.
type StepResult struct {
	Place   Place
	Title   string
	At      time.Time // the clock afterwards
	Outcome string    // what came of the event, in one line
	Problem string    // why the step could not be carried out
	Told    []Telling
	Diff    []DiffLine // empty if all was as expected
}

// Failed says whether the step did not go as the story says.
func (r *StepResult) Failed() bool { return r.Problem != "" || len(r.Diff) > 0 }

// DiffLine is something that was wanted or got. Sign is '-' for what is missing, '+' for what nobody expected, ' ' for
// what is as expected.
type DiffLine struct {
	Sign  rune
	Text  string
	Note  string // why it was told
	Place Place  // of what was wanted, in the story; of the rule behind what was got
}

// EventBuilder makes of a story's event what the bridge would have read from Meta's post.
type EventBuilder func(e *StoryEvent, now time.Time) ([]router.Event, error)

// Run plays a story.
func (s *Stories) Run(story *Story, build EventBuilder) StoryResult {
	p := player{rules: s.Rules, trial: NewTrial(s.Rules), build: build, flows: map[router.FlowID]bool{}}
	p.trial.Advance(story.Start)
	var result StoryResult
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
