package rules

import (
	"slices"
	"strconv"
	"time"

	"flowbridge/router"
)

// View is what the templates of a rule are executed over: {{.FlowName}}, {{.Severity}} and so on. Every field
// is there for incidents and for notices, so that one template serves both; what does not apply is empty.
// Numbers come with their units. What Meta wrote is plain text: notifiers escape it for their service.
type View struct {
	Incident  string // "INC-42"; "" for a notice
	Number    int64  // 42; 0 for a notice
	State     string // open, acknowledged or resolved; "" for a notice
	Severity  string // critical, error, warning or info
	Rule      string
	Event     string // "ENDPOINT_ERROR_RATE"
	Signal    string // the event in words: "Endpoint error rate"
	WABA      string
	Flow      string // id
	FlowName  string // name, or "flow <id>" where the file has none
	Labels    map[string]string
	Runbook   string    // URL
	At        time.Time // when it opened, or happened; UTC
	Threshold string    // of the worst active alert: "10 %", "5 s", "BLOCKED"
	Value     string    // what Meta measured there: "14.28 %"
	Path      string    // levels that the incident reached: "5 % → 10 % → 50 %"
	Alerts    []ViewAlert
	Errors    []ViewError // of that alert, or the notice
	OldStatus string
	NewStatus string
	Message   string // Meta's sentence; "" for an incident
	Warning   string
	Fields    map[string]string // what the rule shows under fields
	Notifier  string            // of DELIVERY_PARKED: whose delivery
	Problem   string            // of DELIVERY_PARKED: what the service said
}

// ViewAlert is one alert of an incident.
type ViewAlert struct {
	Event, Signal, Threshold, Value, Severity string
	Active                                    bool
}

// ViewError is one kind of error that Meta counted.
type ViewError struct{ Type, Rate, Count, Meaning, Help string }

func viewIncident(inc *router.Incident, alerts []router.Alert) View {
	v := View{
		Incident: inc.Name(), Number: inc.Number, State: string(inc.State), Severity: inc.Severity.String(), Rule: inc.Rule,
		Event: inc.Event, Signal: router.SignalName(inc.Event), WABA: inc.WABA, Flow: inc.Flow,
		FlowName: inc.DisplayName(inc.Flow), Labels: inc.Labels, Runbook: inc.Runbook, At: inc.OpenedAt.UTC(),
		Path: router.FormatPath(inc.Event, inc.Path), Fields: viewFields(inc.Fields),
	}
	for _, a := range alerts {
		v.Alerts = append(v.Alerts, ViewAlert{
			Event: a.Event, Signal: router.SignalName(a.Event), Threshold: router.FormatLevel(a.Event, a.Level),
			Value: viewValue(a.Event, a.Reading), Severity: a.Severity.String(), Active: a.Active,
		})
	}
	if len(alerts) > 0 {
		worst := max(0, slices.IndexFunc(alerts, func(a router.Alert) bool { return a.Active }))
		v.Threshold, v.Value = v.Alerts[worst].Threshold, v.Alerts[worst].Value
		v.Errors = viewErrors(alerts[worst].Reading)
	}
	return v
}

func viewNotice(n *router.Notice) View {
	v := View{
		Severity: n.Severity.String(), Rule: n.Rule, Event: n.Name, Signal: router.SignalName(n.Name),
		WABA: n.WABA, Flow: n.Flow, FlowName: n.DisplayName(n.Flow), Labels: n.Labels, Runbook: n.Runbook,
		At: n.At.UTC(), Fields: viewFields(n.Fields), OldStatus: n.OldStatus, NewStatus: n.NewStatus,
	}
	if n.Threshold != nil {
		v.Threshold = router.FormatValue(n.Name, *n.Threshold)
	}
	if !router.IsPersonal(n.Name) { // of what people wrote, only what the rule names comes out
		v.Value, v.Errors, v.Message, v.Warning = viewValue(n.Name, n.Reading), viewErrors(n.Reading), n.Message, n.Warning
	}
	if n.Act != nil {
		v.Notifier, v.Problem = n.Act.Notifier, n.Act.Error
	}
	return v
}

func viewValue(event string, r router.Reading) string {
	if r.Value == nil {
		return ""
	}
	return router.FormatValue(event, *r.Value)
}

func viewErrors(r router.Reading) (out []ViewError) {
	for _, e := range r.Errors {
		v := ViewError{Type: e.Type}
		if e.Rate != nil {
			v.Rate = strconv.FormatFloat(*e.Rate, 'f', -1, 64) + " %"
		}
		if e.Count != nil {
			v.Count = strconv.FormatFloat(*e.Count, 'f', -1, 64)
		}
		if help, ok := router.DescribeError(e.Type); ok {
			v.Meaning, v.Help = help.Meaning, help.Help
		}
		out = append(out, v)
	}
	return out
}

func viewFields(fields []router.Field) map[string]string {
	out := make(map[string]string, len(fields))
	for _, f := range fields {
		out[f.Name] = f.Value
	}
	return out
}
