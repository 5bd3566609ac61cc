package stories

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/rules/yamldoc"
)

// Load reads a file of stories; path is only its name for mistakes. load reads the rules that the file names, with the
// variables that it sets. On mistakes the error is a *yamldoc.Mistakes with all of them, those of the rules too.
func Load(path string, data []byte,
	load func(rulesPath string, env map[string]string) (*rules.Rules, error)) (*File, error) {
	values, root := rules.OpenValues(path, data, "begin with rules: and stories:")
	s := reader{Values: values}
	if root != nil {
		s.file(root, load)
	}
	mistakes := append(s.Finish(), s.rulesMistakes...)
	if len(mistakes) > 0 {
		return nil, &mistakes
	}
	if s.fault != nil {
		return nil, s.fault
	}
	return &File{Rules: s.Rules(), Stories: s.stories}, nil
}

// reader turns the nodes of a file into stories. While the rules that they are about cannot be read, no name is wrong.
type reader struct {
	*rules.Values
	stories       []Story
	rulesMistakes yamldoc.Mistakes
	fault         error
	clock         time.Time // of the story at hand
}

// defaultStart is when stories begin that say nothing of it: a Monday at noon.
var defaultStart = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

func (s *reader) file(root *yaml.Node, load func(string, map[string]string) (*rules.Rules, error)) {
	top, ok := s.Mapping(root, "")
	if !ok {
		return
	}
	at := s.keys(top, "rules", "env", "stories")
	env := map[string]string{}
	if e, ok := at["env"]; ok {
		entries, _ := s.Mapping(e.Value, e.Path)
		for _, v := range entries {
			if text, ok := s.Scalar(v.Value, v.Path); ok {
				env[v.Key] = text.Text
			}
		}
	}
	if e, ok := at["rules"]; !ok {
		s.Absent(root, "rules", "is missing", "name the rules file that the stories are about, relative to this file")
	} else if path, ok := s.Scalar(e.Value, e.Path); ok {
		s.load(path, env, load)
	}
	e, ok := at["stories"]
	if !ok {
		s.Absent(root, "stories", "there are none", "begin each with - name:")
		return
	}
	const hint = "begin each with - name:"
	switch list := yamldoc.Follow(e.Value); {
	case list.Kind != yaml.SequenceNode:
		s.Wrong(e.Value, e.Path, "must be a list of stories, not "+yamldoc.Describe(list), hint)
		return
	case len(list.Content) == 0:
		s.Wrong(e.Value, e.Path, "is empty", hint)
		return
	}
	named := map[string]int{}
	items, paths := s.List(e.Value, e.Path)
	for i, item := range items {
		if entries, ok := s.Mapping(item, paths[i]); ok {
			story := s.story(item, paths[i], entries)
			if line, taken := named[story.Name]; taken && story.Name != "" {
				s.Wrong(item, paths[i], fmt.Sprintf("another story has this name, on line %d", line), "")
			}
			named[story.Name] = item.Line
			s.stories = append(s.stories, story)
		}
	}
}

// load reads the rules. What is wrong in them is reported beside what is wrong here.
func (s *reader) load(path yamldoc.Scalar, env map[string]string,
	load func(string, map[string]string) (*rules.Rules, error)) {
	about, err := load(path.Text, env)
	var mistakes *yamldoc.Mistakes
	switch {
	case err == nil:
		s.About(about)
	case errors.As(err, &mistakes):
		s.rulesMistakes = *mistakes
	default:
		s.Wrong(path.Node, path.Path, "cannot be read: "+err.Error(), "it is relative to this file")
	}
}

// keys sorts entries by their key and reports the unknown ones.
func (s *reader) keys(entries []yamldoc.Entry, known ...string) map[string]yamldoc.Entry {
	at := map[string]yamldoc.Entry{}
	for _, e := range entries {
		if slices.Contains(known, e.Key) {
			at[e.Key] = e
		} else if meant := s.unknown(e, known...); meant != "" {
			if _, taken := at[meant]; !taken {
				at[meant] = e
			}
		}
	}
	return at
}

// unknown reports a key that nobody knows, and returns the one that was meant, or "".
func (s *reader) unknown(e yamldoc.Entry, known ...string) (meant string) {
	hint := "known here: " + strings.Join(known, ", ")
	if meant = yamldoc.Nearest(e.Key, known); meant != "" {
		hint = yamldoc.DidYouMean(e.Key, known)
	}
	s.Wrong(e.At, e.Path, "unknown key", hint)
	return meant
}

func (s *reader) story(n *yaml.Node, path string, entries []yamldoc.Entry) Story {
	story := Story{Place: s.Place(n), Start: defaultStart}
	at := s.keys(entries, "name", "at", "steps")
	if e, ok := at["name"]; !ok {
		s.Absent(n, yamldoc.Join(path, "name"), "is missing", "say what should happen")
	} else if name, ok := s.Scalar(e.Value, e.Path); ok {
		story.Name = yamldoc.OneLine(name.Text, 200)
	}
	if e, ok := at["at"]; ok {
		if when, ok := s.time(e); ok {
			story.Start = when
		}
	}
	s.clock = story.Start
	e, ok := at["steps"]
	if !ok {
		s.Absent(n, yamldoc.Join(path, "steps"), "is missing", "say what happens: an event, a wait, or what a person does")
		return story
	}
	if yamldoc.Follow(e.Value).Kind != yaml.SequenceNode {
		s.Wrong(e.Value, e.Path, "must be a list of steps, not "+yamldoc.Describe(yamldoc.Follow(e.Value)),
			"begin each with -")
		return story
	}
	items, paths := s.List(e.Value, e.Path)
	for i, item := range items {
		if entries, ok := s.Mapping(item, paths[i]); ok {
			story.Steps = append(story.Steps, s.step(item, paths[i], entries))
		}
	}
	return story
}

func stepKeys() []string {
	return append(slices.Concat(eventKeys, actKeys()), "at", "wait", "told", "not_told")
}

// step reads one step: the clock may move, then one thing happens.
func (s *reader) step(n *yaml.Node, path string, entries []yamldoc.Entry) Step {
	step := Step{Place: s.Place(n)}
	at := s.keys(entries, stepKeys()...)
	var titles []string
	if e, ok := at["at"]; ok {
		if when, ok := s.time(e); ok {
			if when.Before(s.clock) {
				s.Wrong(e.Value, e.Path, "lies before the clock of the story, which stands at "+
					s.clock.Format("2006-01-02 15:04 UTC"), "")
			}
			step.Until = when
			titles = append(titles, "at "+when.UTC().Format("Mon 2006-01-02 15:04 UTC"))
		}
	}
	if e, ok := at["wait"]; ok {
		if step.Until.IsZero() {
			step.Until = s.clock
		}
		wait := s.Wait(e)
		step.Until = step.Until.Add(wait)
		titles = append(titles, "wait "+router.FormatDuration(wait))
	}
	if step.Until.After(s.clock) {
		s.clock = step.Until
	}
	happens := 0
	if e, ok := at["event"]; ok || at["value"].Value != nil || at["change"].Value != nil {
		happens++
		step.Event = s.event(e, at)
		titles = append(titles, step.Event.description)
	} else {
		for _, key := range eventKeys {
			if e, ok := at[key]; ok {
				hint := "add event:"
				if slices.Contains([]string{"subject", "phone", "template"}, key) {
					hint = "add change:, Meta's word for what happened to it"
				}
				s.Wrong(e.At, e.Path, "belongs to an event, and the step names none", hint)
			}
		}
	}
	for _, key := range actKeys() {
		if e, ok := at[key]; ok {
			happens++
			step.Act = s.act(e)
			titles = append(titles, strings.TrimSpace(key+" "+step.Act.By))
		}
	}
	switch {
	case happens > 1:
		s.Wrong(n, path, "holds more than one thing that happens", "make a step of each")
	case happens == 0 && step.Until.IsZero() && at["at"].Value == nil:
		s.Absent(n, path, "nothing happens in it", "name an event, a wait, or what a person does")
	}
	step.title = strings.Join(titles, ", ")
	s.expectations(&step, at)
	return step
}

// time reads a date and time: RFC 3339, or 2026-03-02 08:00 with or without the name of a time zone; UTC without.
func (s *reader) time(e yamldoc.Entry) (time.Time, bool) {
	text, ok := s.Scalar(e.Value, e.Path)
	if !ok {
		return time.Time{}, false
	}
	if t, err := time.Parse(time.RFC3339, text.Text); err == nil {
		return t.UTC(), true
	}
	zone := time.UTC
	words := strings.Fields(text.Text)
	if len(words) == 3 {
		var err error
		if zone, err = time.LoadLocation(words[2]); err != nil || words[2] == "Local" {
			s.Wrong(text.Node, text.Path, "there is no time zone "+yamldoc.Quote(words[2]),
				"write its name as in Europe/Berlin, or UTC")
			return time.Time{}, false
		}
		words = words[:2]
	}
	t, err := time.ParseInLocation("2006-01-02 15:04", strings.Join(words, " "), zone)
	if err != nil {
		s.Wrong(text.Node, text.Path, text.Written()+" is no date and time",
			`write "2026-03-02 08:00", "2026-03-02 08:00 Europe/Berlin" or 2026-03-02T08:00:00Z`)
		return time.Time{}, false
	}
	return t.UTC(), true
}

// objectOf reads a map as JSON.
func (s *reader) objectOf(e yamldoc.Entry) (out json.RawMessage) {
	if yamldoc.Follow(e.Value).Kind != yaml.MappingNode {
		s.Wrong(e.Value, e.Path, "must be a map, as in Meta's post, not "+yamldoc.Describe(yamldoc.Follow(e.Value)), "")
		return nil
	}
	defer func() {
		if p := recover(); p != nil { // yaml.v3 can panic on small inputs
			s.Wrong(e.Value, e.Path, fmt.Sprintf("the YAML reader stumbled: %v", p), "")
			out = nil
		}
	}()
	var value map[string]any
	if err := e.Value.Decode(&value); err != nil {
		s.Wrong(e.Value, e.Path, "is not what JSON can hold: "+yamldoc.OneLine(err.Error(), 120), "")
		return nil
	}
	out, err := json.Marshal(value)
	if err != nil {
		s.Wrong(e.Value, e.Path, "is not what JSON can hold: "+yamldoc.OneLine(err.Error(), 120), "")
	}
	return out
}
