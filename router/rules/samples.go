package rules

import (
	"errors"
	"fmt"

	"flowbridge/router"
)

// maxTried bounds what all expressions and templates of the rules may take together while they are tried: some
// seconds. Beyond it they are read untried.
const maxTried = 1 << 28

// tryWhen runs the expression of a rule on every sample that the rule may be asked about. One that fails is no
// mistake: what it asks for need not be in a sample.
func (l *loader) tryWhen(rule *rule, at Place, path string) {
	if rule.match.when == nil {
		return
	}
	for i := range l.cfg.Samples {
		ev := &l.cfg.Samples[i]
		if !rule.match.mayBe(ev) || l.tried > maxTried {
			continue
		}
		f := facts{of: map[string]any{}, left: whenBudget}
		_, err := l.rules.askWhen(rule.match.when, ev, &f)
		l.tried += whenBudget - f.left
		if errors.Is(err, errBudget) {
			l.At(at.Line, at.Column, path, fmt.Sprintf("%v, as on a sample of %s", err, ev.Name), "")
			return
		}
	}
}

// mayBe says whether a rule can be asked about events like a sample.
func (m *match) mayBe(sample *router.Event) bool {
	return m.holdsEvent(sample) && m.fields.holds(sample.Field) && m.asksOf(recovery(sample))
}

// viewSample is what a template sees of what a sample leads to.
func viewSample(ev *router.Event) View {
	severity, flow := router.DefaultSeverity(ev), router.FlowInfo{FlowName: "Sample"}
	if _, opens := ev.Opening(); !opens && ev.Paired() {
		level := ev.Level()
		return viewIncident(&router.Incident{
			Number: 1, Flow: ev.Flow, WABA: ev.WABA, Event: ev.Name, FlowInfo: flow, State: router.IncidentOpen,
			Severity: severity, Path: []router.Level{level}, OpenedAt: ev.At,
		}, []router.Alert{{Event: ev.Name, Level: level, Active: true, Severity: severity, Reading: ev.Reading}})
	}
	return viewNotice(&router.Notice{
		Event: 1, Flow: ev.Flow, WABA: ev.WABA, Name: ev.Name, FlowInfo: flow, At: ev.At, Severity: severity,
		OldStatus: ev.OldStatus, NewStatus: ev.NewStatus, Message: ev.Message, Warning: ev.Warning,
		Threshold: ev.Threshold, Reading: ev.Reading,
	})
}
