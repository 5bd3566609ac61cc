package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
)

var eventKeys = []string{"event", "field", "waba", "flow", "late", "threshold", "value", "alert_state", "old_status", "new_status", "error_type", "with"}

// event reads the short form of an event, or Meta's value as a whole.
func (s *storyReader) event(e entry, at map[string]entry) *StoryEvent {
	ev := &StoryEvent{Field: router.FlowsField}
	text := func(key string, known []string) string {
		k, ok := at[key]
		if !ok {
			return ""
		}
		v, ok := s.scalar(k.value, k.path)
		if ok {
			s.misspelt(v, strings.ReplaceAll(key, "_", " "), known)
		}
		return v.text
	}
	ev.WABA = text("waba", nil)
	if k, ok := at["late"]; ok {
		ev.Late = s.wait(k)
	}
	field := text("field", append(router.AccountFields(), router.FlowsField, router.MessagesField))
	if v, ok := at["value"]; ok && follow(v.value).Kind == yaml.MappingNode {
		for _, key := range []string{"event", "flow", "threshold", "alert_state", "old_status", "new_status", "error_type", "with"} {
			if k, ok := at[key]; ok {
				s.wrong(k.at, k.path, "stands in the value already", "a value that is a map is Meta's whole value")
			}
		}
		ev.WholeValue = s.objectOf(v)
		if field != "" {
			ev.Field = field
		}
		ev.description = "a value of the field " + ev.Field
		return ev
	}
	if e.value == nil {
		s.wrong(at["value"].at, at["value"].path, "belongs to an event, and the step names none", "add event:, or write Meta's whole value as a map")
		return ev
	}
	ev.Name = text("event", router.KnownEvents())
	for _, known := range router.AccountFields() {
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
	ev.OldStatus, ev.NewStatus = text("old_status", router.Statuses()), text("new_status", router.Statuses())
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
	v, ok := s.scalar(e.value, e.path)
	if ok {
		s.oneWord(v, "there is no alert state "+v.written(), []string{router.Activated, router.Deactivated})
	}
	return v.text
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
	if e.value == nil {
		return nil
	}
	text, ok := s.scalar(e.value, e.path)
	if !ok {
		return nil
	}
	b, ok := parseBound(text.text)
	switch {
	case !ok || b.op != "":
		s.wrong(text.Node, text.path, text.written()+" is no number", `write 10, "10%" or "5s"`)
		return nil
	case !b.fits(event):
		s.wrong(text.Node, text.path, fmt.Sprintf("%s is not measured in the unit of %s", event, text.written()), "")
		return nil
	}
	return &b.value
}

// flow reads a flow by its name in the rules file, or by its id.
func (s *storyReader) flow(e entry) string {
	if s.rules == nil {
		text, _ := s.scalar(e.value, e.path)
		return text.text
	}
	if follow(e.value).Kind == yaml.SequenceNode {
		s.wrong(e.value, e.path, "must be one flow, not a list", "")
		return ""
	}
	ids := slices.Sorted(maps.Keys(s.flowTest(e).ids))
	if len(ids) == 0 {
		return ""
	}
	if len(ids) > 1 {
		s.wrong(e.value, e.path, fmt.Sprintf("%d flows have this name", len(ids)), "write the id: "+shorten(strings.Join(ids, ", "), 100))
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
	a := &StoryAct{Name: acts[e.key]}
	if a.Name == router.AddSilence || a.Name == router.EndSilence {
		a.Silence = &StorySilence{}
	}
	if follow(e.value).Kind == yaml.ScalarNode && a.Name != router.AddSilence {
		if by, ok := s.scalar(e.value, e.path); ok {
			a.By = by.text
		}
		return a
	}
	entries, ok := s.mapping(e.value, e.path)
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
		entries = slices.DeleteFunc(entries, func(k entry) bool { return !slices.Contains(known, k.key) })
	}
	at := s.keys(entries, known...)
	text := func(key string) string {
		if k, ok := at[key]; ok {
			if v, ok := s.scalar(k.value, k.path); ok {
				return v.text
			}
		}
		return ""
	}
	a.By = text("by")
	if k, ok := at["in"]; ok {
		if v, ok := s.scalar(k.value, k.path); ok && (s.rules == nil || s.isNotifier(v)) {
			a.Through = v.text
		}
	}
	flow := ""
	if k, ok := at["flow"]; ok {
		flow = s.flow(k)
	}
	if k, ok := at["event"]; ok {
		if v, ok := s.scalar(k.value, k.path); ok {
			s.misspelt(v, "event", router.KnownEvents())
			a.Event = v.text
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
		if s.rules != nil && slices.Contains(s.rules.labels, k.key) {
			if a.Silence.Scope.Labels == nil {
				a.Silence.Scope.Labels = map[string]string{}
			}
			if v, ok := s.scalar(k.value, k.path); ok {
				a.Silence.Scope.Labels[k.key] = v.text
				s.labelTest(k)
			}
		}
	}
	if _, timed := at["for"]; a.Name == router.AddSilence && !timed && flow == "" && at["flow"].value == nil {
		s.absent(e.at, e.path, "has no end", "add for: 1h, or flow: to silence it until it has recovered")
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
		items, paths := s.list(e.value, e.path)
		for i, item := range items {
			if v, ok := s.scalar(item, paths[i]); ok && s.isNotifier(v) {
				step.notTold = append(step.notTold, expectation{place: s.place(v.Node), notifier: v.text})
			}
		}
	}
}

// told reads who is told what: a map, a list of who is told anything, or nobody.
func (s *storyReader) told(step *Step, e entry) {
	switch n := follow(e.value); {
	case n.Kind == yaml.ScalarNode && n.Value == "nobody", n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		return
	case n.Kind == yaml.MappingNode:
	default:
		items, paths := s.list(e.value, e.path)
		for i, item := range items {
			if v, ok := s.scalar(item, paths[i]); ok && s.isNotifier(v) {
				step.told = append(step.told, expectation{place: s.place(v.Node), notifier: v.text})
			}
		}
		return
	}
	entries, _ := s.mapping(e.value, e.path)
	for _, k := range entries {
		name := scalar{Node: k.at, path: k.path, text: k.key}
		ok := s.isNotifier(name)
		all, _ := s.scalars(k.value, k.path)
		for _, v := range all {
			if x, good := s.expectation(v); good && ok {
				x.notifier = k.key
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
	x.place = s.place(v.Node)
	words := strings.Fields(v.text)
	verb := Verb(words[0]) // a scalar is not empty
	if !slices.Contains(verbs(), words[0]) {
		hint := didYouMean(words[0], verbs())
		for _, known := range verbs() {
			if strings.HasPrefix(words[0], known) { // opened, resolves
				hint = fmt.Sprintf("did you mean %s?", quote(known))
			}
		}
		s.wrong(v.Node, v.path, "nobody is told "+quote(words[0]), cmp.Or(hint, "it is "+oneOf(verbs())))
		return x, false
	}
	x.verb = verb
	switch {
	case len(words) == 1:
		return x, true
	case len(words) > 2 || verb != VerbOpen && verb != VerbRise && verb != VerbEase && verb != VerbNotice:
		s.wrong(v.Node, v.path, v.written()+" has a word too many", "write one of "+strings.Join(verbs(), ", ")+", with a severity where something is open or news")
		return x, false
	}
	severity, err := router.ParseSeverity(words[1])
	if err != nil {
		s.wrong(v.Node, v.path, "there is no severity "+quote(words[1]), cmp.Or(didYouMean(words[1], severityWords()), "it is "+oneOf(severityWords())))
		return x, false
	}
	x.severity = severity
	return x, true
}
