package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

var eventKeys = []string{"event", "field", "waba", "flow", "late", "threshold", "value", "alert_state", "old_status", "new_status", "error_type", "with"}

// event reads the short form of an event, or Meta's value as a whole.
func (s *storyReader) event(e entry, at map[string]entry) *StoryEvent {
	ev := &StoryEvent{Field: "flows"}
	text := func(key string, known []string) string {
		k, ok := at[key]
		if !ok {
			return ""
		}
		v, ok := s.Scalar(k.Value, k.Path)
		if ok {
			s.misspelt(v, strings.ReplaceAll(key, "_", " "), known)
		}
		return v.Text
	}
	ev.WABA = text("waba", nil)
	if k, ok := at["late"]; ok {
		ev.Late = s.wait(k)
	}
	field := text("field", append(accountFields(), "flows", "messages"))
	if v, ok := at["value"]; ok && yamldoc.Follow(v.Value).Kind == yaml.MappingNode {
		for _, key := range []string{"event", "flow", "threshold", "alert_state", "old_status", "new_status", "error_type", "with"} {
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
		s.Wrong(at["value"].At, at["value"].Path, "belongs to an event, and the step names none", "add event:, or write Meta's whole value as a map")
		return ev
	}
	ev.Name = text("event", knownEvents())
	for _, known := range accountFields() {
		if strings.EqualFold(known, ev.Name) {
			ev.Field = known
		}
	}
	if field != "" {
		ev.Field = field
	}
	if k, ok := at["alert_state"]; ok {
		ev.AlertState = s.eventState(k)
	}
	ev.OldStatus, ev.NewStatus = text("old_status", knownStatuses()), text("new_status", knownStatuses())
	ev.ErrorType = text("error_type", router.KnownErrorTypes())
	ev.Threshold, ev.Value = s.number(at["threshold"], ev.Name), s.number(at["value"], ev.Name)
	if k, ok := at["flow"]; ok {
		ev.Flow = s.flow(k)
	}
	if k, ok := at["with"]; ok {
		ev.With = s.objectOf(k)
	}
	ev.describe(s.rules)
	return ev
}

// eventState reads one of the two words that Meta writes.
func (s *storyReader) eventState(e entry) string {
	v, ok := s.Scalar(e.Value, e.Path)
	if ok {
		s.oneWord(v, "there is no alert state "+v.Written(), []string{router.Activated, router.Deactivated})
	}
	return v.Text
}

func (ev *StoryEvent) describe(r *Rules) {
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
			info = r.flows[ev.Flow]
		}
		words = append(words, "of "+info.DisplayName(ev.Flow))
	}
	ev.description = strings.Join(words, " ")
}

// number reads a number with or without its unit: 14.28, "10%", "6.2s".
func (s *storyReader) number(e entry, event string) *float64 {
	if e.Value == nil {
		return nil
	}
	text, ok := s.Scalar(e.Value, e.Path)
	if !ok {
		return nil
	}
	b, ok := parseBound(text.Text)
	switch {
	case !ok || b.op != "":
		s.Wrong(text.Node, text.Path, text.Written()+" is no number", `write 10, "10%" or "5s"`)
		return nil
	case !b.unit.fits(event):
		s.Wrong(text.Node, text.Path, fmt.Sprintf("%s is not measured in the unit of %s", event, text.Written()), "")
		return nil
	}
	return &b.value
}

// flow reads a flow by its name in the rules file, or by its id.
func (s *storyReader) flow(e entry) string {
	if s.rules == nil {
		text, _ := s.Scalar(e.Value, e.Path)
		return text.Text
	}
	if yamldoc.Follow(e.Value).Kind == yaml.SequenceNode {
		s.Wrong(e.Value, e.Path, "must be one flow, not a list", "")
		return ""
	}
	ids := slices.Sorted(maps.Keys(s.flowTest(e).ids))
	if len(ids) == 0 {
		return ""
	}
	if len(ids) > 1 {
		s.Wrong(e.Value, e.Path, fmt.Sprintf("%d flows have this name", len(ids)), "write the id: "+yamldoc.Shorten(strings.Join(ids, ", "), 100))
	}
	return ids[0]
}

// acts are what a person can do in a story, and the event that it makes.
var acts = map[string]string{
	"acknowledge": router.Acknowledge, "unacknowledge": router.Unacknowledge, "resolve": router.Resolve, "reopen": router.Reopen,
	"page": router.PageNow, "silence": router.AddSilence, "unsilence": router.EndSilence,
}

func actKeys() []string { return slices.Sorted(maps.Keys(acts)) }

// act reads what a person does: the name alone, or a map.
func (s *storyReader) act(e entry) *StoryAct {
	a := &StoryAct{Name: acts[e.Key]}
	if a.Name == router.AddSilence || a.Name == router.EndSilence {
		a.Silence = &StorySilence{}
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
	known := []string{"by", "in", "flow", "event"}
	switch a.Name {
	case router.AddSilence:
		known = []string{"by", "in", "flow", "event", "waba", "for", "why", "id"}
		if s.rules != nil {
			known = append(known, s.rules.labels...)
		}
	case router.EndSilence:
		known = []string{"by", "in", "id"}
	}
	if s.rules == nil && a.Name == router.AddSilence { // labels are not known
		entries = slices.DeleteFunc(entries, func(k entry) bool { return !slices.Contains(known, k.Key) })
	}
	at := s.keys(entries, known...)
	text := func(key string) string {
		if k, ok := at[key]; ok {
			if v, ok := s.Scalar(k.Value, k.Path); ok {
				return v.Text
			}
		}
		return ""
	}
	a.By = text("by")
	if k, ok := at["in"]; ok {
		if v, ok := s.Scalar(k.Value, k.Path); ok && (s.rules == nil || s.isNotifier(v)) {
			a.Through = v.Text
		}
	}
	flow := ""
	if k, ok := at["flow"]; ok {
		flow = s.flow(k)
	}
	if k, ok := at["event"]; ok {
		if v, ok := s.Scalar(k.Value, k.Path); ok {
			s.misspelt(v, "event", knownEvents())
			a.Event = v.Text
		}
	}
	if a.Silence == nil {
		a.Flow = flow
		return a
	}
	a.Silence.ID, a.Silence.Why = text("id"), text("why")
	if k, ok := at["for"]; ok {
		a.Silence.For = s.wait(k)
	}
	a.Silence.Scope = router.Scope{WABA: text("waba"), Flow: flow, Event: a.Event}
	for _, k := range entries {
		if s.rules != nil && slices.Contains(s.rules.labels, k.Key) {
			if a.Silence.Scope.Labels == nil {
				a.Silence.Scope.Labels = map[string]string{}
			}
			if v, ok := s.Scalar(k.Value, k.Path); ok {
				a.Silence.Scope.Labels[k.Key] = v.Text
				s.labelTest(k)
			}
		}
	}
	if _, timed := at["for"]; a.Name == router.AddSilence && !timed && flow == "" && at["flow"].Value == nil {
		s.Absent(e.At, e.Path, "has no end", "add for: 1h, or flow: to silence it until it has recovered")
	}
	return a
}

// isNotifier says whether a notifier is called so, and reports it if none is.
func (s *storyReader) isNotifier(v scalar) bool {
	if s.rules == nil {
		return true
	}
	_, ok := s.notifier(v)
	return ok
}

// expectations reads `told` and `not_told`.
func (s *storyReader) expectations(step *Step, at map[string]entry) {
	if e, ok := at["told"]; ok {
		step.strict = true
		s.told(step, e)
	}
	if e, ok := at["not_told"]; ok {
		items, paths := s.List(e.Value, e.Path)
		for i, item := range items {
			if v, ok := s.Scalar(item, paths[i]); ok && s.isNotifier(v) {
				step.notTold = append(step.notTold, expectation{place: s.Place(v.Node), notifier: v.Text})
			}
		}
	}
}

// told reads who is told what: a map, a list of who is told anything, or nobody.
func (s *storyReader) told(step *Step, e entry) {
	switch n := yamldoc.Follow(e.Value); {
	case n.Kind == yaml.ScalarNode && n.Value == "nobody", n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		return
	case n.Kind == yaml.MappingNode:
	default:
		items, paths := s.List(e.Value, e.Path)
		for i, item := range items {
			if v, ok := s.Scalar(item, paths[i]); ok && s.isNotifier(v) {
				step.told = append(step.told, expectation{place: s.Place(v.Node), notifier: v.Text})
			}
		}
		return
	}
	entries, _ := s.Mapping(e.Value, e.Path)
	for _, k := range entries {
		name := s.ValueAt(k.At, k.Path, k.Key)
		ok := s.isNotifier(name)
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
		string(VerbAcknowledge), string(VerbUnacknowledge), string(VerbUpdate)}
}

// expectation reads "open critical", "resolve" and the like.
func (s *storyReader) expectation(v scalar) (x expectation, ok bool) {
	x.place = s.Place(v.Node)
	words := strings.Fields(v.Text)
	verb := Verb(words[0]) // a scalar is not empty
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
		s.Wrong(v.Node, v.Path, v.Written()+" has a word too many", "write one of "+strings.Join(verbs(), ", ")+", with a severity where something is open or news")
		return x, false
	}
	severity, err := router.ParseSeverity(words[1])
	if err != nil {
		s.Wrong(v.Node, v.Path, "there is no severity "+yamldoc.Quote(words[1]), cmp.Or(yamldoc.DidYouMean(words[1], severityWords()), "it is "+yamldoc.OneOf(severityWords())))
		return x, false
	}
	x.severity = severity
	return x, true
}
