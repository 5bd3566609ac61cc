package stories

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/rules/yamldoc"
)

var eventKeys = []string{"event", "field", "waba", "flow", "late", "threshold", "value", "alert_state", "old_status",
	"new_status", "error_type", "with"}

// event reads the short form of an event, or Meta's value as a whole.
func (s *reader) event(e yamldoc.Entry, at map[string]yamldoc.Entry) *Event {
	ev := &Event{Field: "flows"}
	read := func(key string, as func(yamldoc.Entry) string) string {
		if k, ok := at[key]; ok {
			return as(k)
		}
		return ""
	}
	status := func(what string) func(yamldoc.Entry) string {
		return func(k yamldoc.Entry) string { return s.Status(k, what) }
	}
	ev.WABA = read("waba", s.text)
	if k, ok := at["late"]; ok {
		ev.Late = s.Wait(k)
	}
	field := read("field", s.Field)
	if v, ok := at["value"]; ok && yamldoc.Follow(v.Value).Kind == yaml.MappingNode {
		for _, key := range []string{
			"event", "flow", "threshold", "alert_state", "old_status", "new_status", "error_type", "with",
		} {
			if k, ok := at[key]; ok {
				s.Wrong(k.At, k.Path, "stands in the value already", "a value that is a map is Meta's whole value")
			}
		}
		ev.WholeValue = s.objectOf(v)
		if field != "" {
			ev.Field = field
		}
		ev.description = "a value of the field " + ev.Field
		return ev
	}
	if e.Value == nil {
		s.Wrong(at["value"].At, at["value"].Path, "belongs to an event, and the step names none",
			"add event:, or write Meta's whole value as a map")
		return ev
	}
	ev.Name = read("event", s.EventName)
	ev.Field = cmp.Or(field, rules.FieldOf(ev.Name), ev.Field)
	ev.AlertState = read("alert_state", s.AlertState)
	ev.OldStatus, ev.NewStatus = read("old_status", status("old status")), read("new_status", status("new status"))
	ev.ErrorType = read("error_type", s.ErrorType)
	ev.Threshold, ev.Value = s.Number(at["threshold"], ev.Name), s.Number(at["value"], ev.Name)
	ev.Flow = read("flow", s.Flow)
	if k, ok := at["with"]; ok {
		ev.With = s.objectOf(k)
	}
	ev.describe(s.Rules())
	return ev
}

// text reads a text of somebody's choice.
func (s *reader) text(e yamldoc.Entry) string {
	if v, ok := s.Scalar(e.Value, e.Path); ok {
		return v.Text
	}
	return ""
}

// textAt reads that of a key, "" where it is not given.
func (s *reader) textAt(at map[string]yamldoc.Entry, key string) string {
	if k, ok := at[key]; ok {
		return s.text(k)
	}
	return ""
}

func (ev *Event) describe(r *rules.Rules) {
	words := []string{ev.Name}
	if ev.AlertState != "" {
		words = append(words, ev.AlertState)
	}
	if ev.Threshold != nil {
		words = append(words, "at "+router.FormatValue(ev.Name, *ev.Threshold))
	}
	if ev.NewStatus != "" {
		words = append(words, "to "+ev.NewStatus)
	}
	if ev.Flow != "" {
		info := router.FlowInfo{}
		if r != nil {
			info = r.Flow(ev.Flow)
		}
		words = append(words, "of "+info.DisplayName(ev.Flow))
	}
	ev.description = strings.Join(words, " ")
}

// acts are what a person can do in a story, and the event that it makes.
var acts = map[string]string{
	"acknowledge":   router.Acknowledge,
	"unacknowledge": router.Unacknowledge,
	"resolve":       router.Resolve,
	"reopen":        router.Reopen,
	"page":          router.PageNow,
	"silence":       router.AddSilence,
	"unsilence":     router.EndSilence,
}

func actKeys() []string { return slices.Sorted(maps.Keys(acts)) }

// act reads what a person does: the name alone, or a map.
func (s *reader) act(e yamldoc.Entry) *Act {
	a := &Act{Name: acts[e.Key]}
	if a.Name == router.AddSilence || a.Name == router.EndSilence {
		a.Silence = &Silence{}
	}
	if yamldoc.Follow(e.Value).Kind == yaml.ScalarNode && a.Name != router.AddSilence {
		if by, ok := s.Scalar(e.Value, e.Path); ok {
			a.By = by.Text
		}
		return a
	}
	entries, ok := s.Mapping(e.Value, e.Path)
	if !ok {
		return a
	}
	known := s.keysOfAct(a.Name)
	if s.Rules() == nil && a.Name == router.AddSilence { // labels are not known
		entries = slices.DeleteFunc(entries, func(k yamldoc.Entry) bool { return !slices.Contains(known, k.Key) })
	}
	at := s.keys(entries, known...)
	a.By = s.textAt(at, "by")
	if k, ok := at["in"]; ok {
		if v, ok := s.Scalar(k.Value, k.Path); ok && s.Notifier(v) {
			a.Through = v.Text
		}
	}
	flow := ""
	if k, ok := at["flow"]; ok {
		flow = s.Flow(k)
	}
	if k, ok := at["event"]; ok {
		a.Event = s.EventName(k)
	}
	if a.Silence == nil {
		a.Flow = flow
		return a
	}
	s.silence(a.Silence, entries, at)
	a.Silence.Scope.Flow, a.Silence.Scope.Event = flow, a.Event
	if _, timed := at["for"]; a.Name == router.AddSilence && !timed && flow == "" && at["flow"].Value == nil {
		s.Absent(e.At, e.Path, "has no end", "add for: 1h, or flow: to silence it until it has recovered")
	}
	return a
}

// keysOfAct are those that the map of an act may have.
func (s *reader) keysOfAct(name string) []string {
	switch name {
	case router.AddSilence:
		return append([]string{"by", "in", "flow", "event", "waba", "for", "why", "id"}, s.Labels()...)
	case router.EndSilence:
		return []string{"by", "in", "id"}
	}
	return []string{"by", "in", "flow", "event"}
}

// silence reads what a silence has beside flow and event, which other acts have, too.
func (s *reader) silence(to *Silence, entries []yamldoc.Entry, at map[string]yamldoc.Entry) {
	to.ID, to.Why, to.Scope.WABA = s.textAt(at, "id"), s.textAt(at, "why"), s.textAt(at, "waba")
	if k, ok := at["for"]; ok {
		to.For = s.Wait(k)
	}
	for _, k := range entries {
		if !slices.Contains(s.Labels(), k.Key) {
			continue
		}
		if value, ok := s.Label(k); ok {
			if to.Scope.Labels == nil {
				to.Scope.Labels = map[string]string{}
			}
			to.Scope.Labels[k.Key] = value
		}
	}
}

// expectations reads `told` and `not_told`.
func (s *reader) expectations(step *Step, at map[string]yamldoc.Entry) {
	if e, ok := at["told"]; ok {
		step.strict = true
		s.told(step, e)
	}
	if e, ok := at["not_told"]; ok {
		items, paths := s.List(e.Value, e.Path)
		for i, item := range items {
			if v, ok := s.Scalar(item, paths[i]); ok && s.Notifier(v) {
				step.notTold = append(step.notTold, expectation{place: s.Place(v.Node), notifier: v.Text})
			}
		}
	}
}

// told reads who is told what: a map, a list of who is told anything, or nobody.
func (s *reader) told(step *Step, e yamldoc.Entry) {
	switch n := yamldoc.Follow(e.Value); {
	case n.Kind == yaml.ScalarNode && n.Value == "nobody", n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		return
	case n.Kind == yaml.MappingNode:
	default:
		items, paths := s.List(e.Value, e.Path)
		for i, item := range items {
			if v, ok := s.Scalar(item, paths[i]); ok && s.Notifier(v) {
				step.told = append(step.told, expectation{place: s.Place(v.Node), notifier: v.Text})
			}
		}
		return
	}
	entries, _ := s.Mapping(e.Value, e.Path)
	for _, k := range entries {
		name := s.ValueAt(k.At, k.Path, k.Key)
		ok := s.Notifier(name)
		all, _ := s.Scalars(k.Value, k.Path)
		for _, v := range all {
			if x, good := s.expectation(v); good && ok {
				x.notifier = k.Key
				step.told = append(step.told, x)
			}
		}
	}
}

func verbs() []string {
	return []string{string(VerbOpen), string(VerbRise), string(VerbEase), string(VerbResolve), string(VerbNotice),
		string(VerbRemind), string(VerbAcknowledge), string(VerbUnacknowledge), string(VerbUpdate)}
}

// expectation reads "open critical", "resolve" and the like.
func (s *reader) expectation(v yamldoc.Scalar) (x expectation, ok bool) {
	x.place = s.Place(v.Node)
	words := strings.Fields(v.Text)
	verb := Verb(words[0]) // a yamldoc.Scalar is not empty
	if !slices.Contains(verbs(), words[0]) {
		hint := yamldoc.DidYouMean(words[0], verbs())
		for _, known := range verbs() {
			if strings.HasPrefix(words[0], known) { // opened, resolves
				hint = fmt.Sprintf("did you mean %s?", yamldoc.Quote(known))
			}
		}
		s.Wrong(v.Node, v.Path, "nobody is told "+yamldoc.Quote(words[0]), cmp.Or(hint, "it is "+yamldoc.OneOf(verbs())))
		return x, false
	}
	x.verb = verb
	switch {
	case len(words) == 1:
		return x, true
	case len(words) > 2 || verb != VerbOpen && verb != VerbRise && verb != VerbEase && verb != VerbNotice:
		s.Wrong(v.Node, v.Path, v.Written()+" has a word too many",
			"write one of "+strings.Join(verbs(), ", ")+", with a severity where something is open or news")
		return x, false
	}
	x.severity, ok = s.Severity(v, words[1])
	return x, ok
}
