package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// Values reads a file that speaks of rules and is none, such as one of stories: its values mean there what they mean in
// a rules file, and mistakes are said in the same words. What names mean is known once About has said of which rules.
type Values struct {
	*yamldoc.Reader
	loader *loader
}

// OpenValues parses such a file, and returns the root of its document, nil if there is nothing to read on. begin is the
// hint for an empty file.
func OpenValues(name string, data []byte, begin string) (*Values, *yaml.Node) {
	l := newLoader(Config{})
	format := fileFormat()
	format.Begin = begin
	l.rules, l.Report = nil, yamldoc.NewReport(format)
	var root *yaml.Node
	l.Reader, root = l.Open(name, data)
	return &Values{l.Reader, l}, root
}

// About makes the names of rules known. Until then no name is wrong.
func (v *Values) About(r *Rules) {
	v.loader.rules = r
	v.loader.indexFlows()
	v.loader.names["notifier"] = map[string]*named{}
	for name := range r.targets {
		v.loader.names["notifier"][name] = &named{}
	}
}

// Rules returns the rules that the file is about, nil if About has not said so.
func (v *Values) Rules() *Rules { return v.loader.rules }

// Wait reads a length of time.
func (v *Values) Wait(e yamldoc.Entry) time.Duration { return v.loader.wait(e) }

// EventName reads the name of an event.
func (v *Values) EventName(e yamldoc.Entry) string { return v.word(e, "event", router.KnownEvents()) }

// Field reads the name of a field of the account.
func (v *Values) Field(e yamldoc.Entry) string {
	return v.word(e, "field", knownFields())
}

// FieldOf returns the field of the account whose news are events of this name, "" if there is none: news of flows.
func FieldOf(event string) string {
	for _, field := range router.AccountFields() {
		if strings.EqualFold(field, event) {
			return field
		}
	}
	return ""
}

// ErrorType reads one of Meta's error types.
func (v *Values) ErrorType(e yamldoc.Entry) string {
	return v.word(e, "error type", router.KnownErrorTypes())
}

// Status reads a status of a flow. what names it for people: "old status".
func (v *Values) Status(e yamldoc.Entry, what string) string {
	return v.word(e, what, router.Statuses())
}

// word reads a text that Meta chooses. What nobody knows may exist; what is nearly known is misspelt.
func (v *Values) word(e yamldoc.Entry, what string, known []string) string {
	s, ok := v.Scalar(e.Value, e.Path)
	if ok {
		v.loader.misspelt(s, what, known)
	}
	return s.Text
}

// Subject reads what an event is about: flow, account, phone and so on.
func (v *Values) Subject(e yamldoc.Entry) router.SubjectKind {
	s, ok := v.Scalar(e.Value, e.Path)
	if ok {
		v.loader.oneWord(s, "there is no subject "+s.Written(), subjectKinds())
	}
	if !slices.Contains(subjectKinds(), s.Text) {
		return ""
	}
	return router.SubjectKind(s.Text)
}

// WithArticle names a kind of subject in a sentence: "an account".
func WithArticle(kind router.SubjectKind) string {
	if strings.ContainsRune("aeiou", rune(cmp.Or(kind, "flow")[0])) {
		return "an " + string(kind)
	}
	return "a " + string(kind)
}

// Change reads Meta's word for what happened, and returns the event that it is a word of. event is that of the step, ""
// where it names none: what it is about, "" for anything, must tell then. A word that nobody knows is a mistake, since
// nobody knows either where Meta would write it.
func (v *Values) Change(e yamldoc.Entry, event string, about router.SubjectKind) (word, of string) {
	s, ok := v.Scalar(e.Value, e.Path)
	if !ok {
		return "", event
	}
	events, known := v.changing(event, about)
	var with []string
	for _, name := range events {
		if slices.Contains(router.KnownChanges(name), s.Text) {
			with = append(with, name)
		}
	}
	switch {
	case len(with) == 1:
		return s.Text, with[0]
	case len(with) > 1:
		v.Wrong(s.Node, s.Path, fmt.Sprintf("%d events have the change %s", len(with), s.Written()),
			"say which with event: "+strings.Join(with, ", ")+", or what it is about with phone, template or subject")
	case len(known) == 0:
		v.Wrong(s.Node, s.Path, cmp.Or(event, WithArticle(about))+" has no changes",
			"of flows, say what happened with threshold, alert_state or new_status")
	default:
		of := ""
		if event != "" {
			of = " of " + event
		} else if about != "" {
			of = " of " + WithArticle(about)
		}
		hint := "known are: " + yamldoc.Shorten(strings.Join(known, ", "), 160) + "; any other word stands in with: {...}"
		if near := closest(s.Text, known); near != "" {
			hint = fmt.Sprintf("did you mean %s?", yamldoc.Quote(near))
		}
		v.Wrong(s.Node, s.Path, "there is no change "+s.Written()+of, hint)
	}
	return s.Text, event
}

// changing returns the events that move by words, and those words. event and about narrow them.
func (v *Values) changing(event string, about router.SubjectKind) (events, words []string) {
	for _, name := range router.KnownEvents() {
		known := router.KnownChanges(name)
		if len(known) > 0 && (event == "" || name == event) && (about == "" || router.SubjectOf(name) == about) {
			events, words = append(events, name), append(words, known...)
		}
	}
	slices.Sort(words)
	return events, slices.Compact(words)
}

// Account reads one account by its name in the rules file, or by its id, and returns the id.
func (v *Values) Account(e yamldoc.Entry) string {
	s, ok := v.Scalar(e.Value, e.Path)
	if !ok || v.loader.rules == nil {
		return s.Text
	}
	ids := v.loader.accountIDs(e)
	if len(ids) > 1 {
		v.Wrong(s.Node, s.Path, fmt.Sprintf("%d accounts have this name", len(ids)),
			"write the id: "+yamldoc.Shorten(strings.Join(ids, ", "), 100))
	}
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}

// AlertState reads ACTIVATED or DEACTIVATED.
func (v *Values) AlertState(e yamldoc.Entry) string {
	s, ok := v.Scalar(e.Value, e.Path)
	if ok {
		v.loader.oneWord(s, "there is no alert state "+s.Written(), []string{router.Activated, router.Deactivated})
	}
	return s.Text
}

// Number reads a number with or without its unit, in which an event of this name is measured: 14.28, "10%", "6.2s".
// Times are in milliseconds. It is nil where there is none.
func (v *Values) Number(e yamldoc.Entry, event string) *float64 {
	if e.Value == nil {
		return nil
	}
	s, ok := v.Scalar(e.Value, e.Path)
	if !ok {
		return nil
	}
	b, ok := parseBound(s.Text)
	switch {
	case !ok || b.op != "":
		v.Wrong(s.Node, s.Path, s.Written()+" is no number", `write 10, "10%" or "5s"`)
		return nil
	case !b.fits(event):
		v.Wrong(s.Node, s.Path, fmt.Sprintf("%s is not measured in the unit of %s", event, s.Written()), "")
		return nil
	}
	return &b.value
}

// Flow reads one flow by its name in the rules file, or by its id, and returns the id.
func (v *Values) Flow(e yamldoc.Entry) string {
	if v.loader.rules == nil {
		s, _ := v.Scalar(e.Value, e.Path)
		return s.Text
	}
	if yamldoc.Follow(e.Value).Kind == yaml.SequenceNode {
		v.Wrong(e.Value, e.Path, "must be one flow, not a list", "")
		return ""
	}
	ids := slices.Sorted(maps.Keys(v.loader.flowTest(e, false).ids))
	if len(ids) == 0 {
		return ""
	}
	if len(ids) > 1 {
		v.Wrong(e.Value, e.Path, fmt.Sprintf("%d flows have this name", len(ids)),
			"write the id: "+yamldoc.Shorten(strings.Join(ids, ", "), 100))
	}
	return ids[0]
}

// Labels returns the labels that some flow has, sorted; nil while the rules are not known.
func (v *Values) Labels() []string {
	if v.loader.rules == nil {
		return nil
	}
	return slices.Clone(v.loader.rules.labels)
}

// Label reads the value of a label that some flow has.
func (v *Values) Label(e yamldoc.Entry) (value string, ok bool) {
	s, ok := v.Scalar(e.Value, e.Path)
	if ok {
		v.loader.labelTest(e, false)
	}
	return s.Text, ok
}

// Notifier says whether a notifier is called so, and reports it if none is.
func (v *Values) Notifier(s yamldoc.Scalar) bool {
	if v.loader.rules == nil {
		return true
	}
	_, ok := v.loader.notifier(s)
	return ok
}

// Severity reads a severity that is a word of a value.
func (v *Values) Severity(s yamldoc.Scalar, word string) (severity router.Severity, ok bool) {
	severity, err := router.ParseSeverity(word)
	if err != nil {
		v.Wrong(s.Node, s.Path, "there is no severity "+yamldoc.Quote(word),
			cmp.Or(yamldoc.DidYouMean(word, severityWords()), "it is "+yamldoc.OneOf(severityWords())))
	}
	return severity, err == nil
}
