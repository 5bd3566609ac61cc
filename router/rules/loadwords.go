package rules

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// words reads title and text of a rule and tries them on what the rule can match.
func (l *loader) words(rule *rule, at map[string]entry) {
	if at["title"].Value == nil && at["text"].Value == nil {
		return
	}
	samples := sampleViews(rule)
	rule.words = words{title: l.template(at["title"], rule, samples), text: l.template(at["text"], rule, samples)}
}

func (l *loader) template(e entry, rule *rule, samples []View) *template.Template {
	if e.Value == nil {
		return nil
	}
	s, ok := l.Scalar(e.Value, e.Path)
	if !ok {
		return nil
	}
	t, err := parseTemplate(e.Key, s.Text)
	misfit := ""
	for i := 0; err == nil && i < len(samples); i++ {
		var text string
		text, err = l.tryTemplate(t, samples[i])
		misfit = cmp.Or(misfit, formatMisfit.FindString(text))
	}
	if err != nil {
		l.badTemplate(s, err)
		return nil
	}
	if misfit != "" {
		l.Warn(e.At, e.Path, "prints "+yamldoc.Quote(misfit)+": printf does not fit what it is given",
			"texts go with %s, as .Value, .Threshold and .Severity do")
	}
	for i := range l.cfg.Samples {
		ev := &l.cfg.Samples[i]
		if !rule.match.mayBe(ev) {
			continue
		}
		// Real events have less in them here and there, and what is missing is no mistake.
		if _, err := l.tryTemplate(t, viewSample(ev)); errors.Is(err, errBudget) {
			l.badTemplate(s, fmt.Errorf("%w, as on a sample of %s", errBudget, ev.Name))
			return nil
		}
	}
	return t
}

func (l *loader) tryTemplate(t *template.Template, v View) (text string, err error) {
	if l.tried > maxTried {
		return "", nil
	}
	text, cost, err := execute(t, v, maxText)
	l.tried += cost
	return text, err
}

// sampleViews returns a view of each kind that a rule can lead to.
func sampleViews(rule *rule) []View {
	incidents, notices := rule.match.events.names() == nil, rule.match.events.names() == nil
	for _, name := range rule.match.events.names() {
		switch s := router.SignalOf(name); {
		case s.ByWord():
			incidents, notices = true, true
		case s.Measured():
			incidents = true
		default: // an event that nobody knows may be either; a notice is the one with less in it
			notices = true
		}
	}
	if rule.match.recoveryOnly() {
		incidents, notices = false, true
	}
	at, threshold, value := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 10.0, 14.28
	reading := router.Reading{Value: &value}
	if rule.match.mayCountErrors() {
		reading.Errors = []router.ErrorCount{{Type: "timeout_error", Rate: &value, Count: &value}}
	}
	flow := router.FlowInfo{FlowName: "Sample", Labels: map[string]string{"team": "sample"}}
	var views []View
	if incidents {
		views = append(views, viewIncident(&router.Incident{
			Number: 1, Flow: "1", WABA: "1", Event: router.EndpointErrorRate, FlowInfo: flow, State: router.IncidentOpen,
			Severity: router.Error, Path: []router.Level{"10"}, OpenedAt: at,
		}, []router.Alert{{Event: router.EndpointErrorRate, Level: "10", Active: true, Severity: router.Error,
			Reading: reading}}))
	}
	if notices {
		views = append(views, viewNotice(&router.Notice{
			Event: 1, Flow: "1", WABA: "1", Name: router.FlowStatusChange, FlowInfo: flow, At: at, Severity: router.Info,
			OldStatus: router.Draft, NewStatus: router.Published, Message: "sample", Threshold: &threshold, Reading: reading,
		}))
	}
	return views
}

// mayCountErrors says whether an event that the rule matches may list errors.
func (m *match) mayCountErrors() bool {
	events := m.about()
	return events == nil || slices.ContainsFunc(events, func(event string) bool { return router.SignalOf(event).Errors })
}

var (
	templateError = regexp.MustCompile(
		`(?s)^template: ([^:]*):(\d+)(?::(\d+))?: (?:executing "[^"]*" at <.*?>: )?(?:error calling \w+: )?(.*)$`)
	// formatMisfit is what printf writes in the place of what its format does not fit. Source: Go, package fmt.
	formatMisfit   = regexp.MustCompile(`%!(\w\([^)]*\)|\(EXTRA [^)]*\)|\(NOVERB\))`)
	noSuchFunction = regexp.MustCompile(`^function "(\w+)" not defined$`)
	fieldOfList    = regexp.MustCompile(`can't evaluate field (\w+) in type \[\]rules\.View(\w+)$`)
	noSuchField    = regexp.MustCompile(`can't evaluate field (\w+) in type \*?rules\.(View\w*)`)
)

// badTemplate reports what text/template says, where it says it, in words for people.
func (l *loader) badTemplate(s scalar, err error) {
	line, column, problem, hint := s.Line, s.Column, err.Error(), ""
	if m := templateError.FindStringSubmatch(problem); m != nil {
		problem = m[4]
		if m[1] != "step" {
			row, _ := strconv.Atoi(m[2])
			bytes, _ := strconv.Atoi(m[3])
			line, column = l.Inside(s, offset(s.Text, row, bytes))
		}
	}
	if m := noSuchField.FindStringSubmatch(problem); m != nil {
		known := viewNames(m[2])
		problem, hint = fmt.Sprintf("there is no .%s", m[1]),
			cmp.Or(yamldoc.DidYouMean(m[1], known), "known here: "+strings.Join(known, ", "))
	}
	function, list := noSuchFunction.FindStringSubmatch(problem), fieldOfList.FindStringSubmatch(problem)
	switch {
	case strings.Contains(problem, "out of range"):
		hint = "an event that the rule matches may have none: guard it with {{with}} or {{if}}"
	case problem == "unexpected EOF":
		hint = "an {{if}}, {{with}} or {{range}} has no {{end}}"
	case strings.HasPrefix(problem, `unexpected "=" in`):
		hint = `compare with eq: {{if eq .Severity "error"}}`
	case function != nil && slices.Contains(viewNames("View"), function[1]):
		hint = "write {{." + function[1] + "}}, with a dot"
	case function != nil:
		known := slices.Sorted(maps.Keys((&meter{}).functions()))
		hint = cmp.Or(yamldoc.DidYouMean(function[1], known), "see functions in the manual, flowbridge docs rules")
	case list != nil:
		problem, hint = "."+list[2]+"s is a list", "go through it: {{range ."+list[2]+"s}}{{."+list[1]+"}}{{end}}"
	}
	l.At(line, column, s.Path, yamldoc.OneLine(problem, 200), hint)
}

// viewNames returns the names that a template can use of a View, a ViewAlert or a ViewError.
func viewNames(of string) (names []string) {
	t := reflect.TypeFor[View]()
	switch of {
	case "ViewAlert":
		t = reflect.TypeFor[ViewAlert]()
	case "ViewError":
		t = reflect.TypeFor[ViewError]()
	}
	for i := range t.NumField() {
		names = append(names, t.Field(i).Name)
	}
	return names
}

// offset returns where in text, in characters, a line from 1 and a byte within it from 0 are.
func offset(text string, line, inLine int) int {
	start := 0
	for range line - 1 {
		if i := strings.IndexByte(text[start:], '\n'); i >= 0 {
			start += i + 1
		}
	}
	return utf8.RuneCountInString(text[:min(start+inLine, len(text))])
}
