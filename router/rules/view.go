package rules

import (
	"slices"
	"strconv"
	"time"

	"flowbridge/router"
)

// View is what the templates of a rule are executed over: {{.FlowName}}, {{.Severity}} and so on. Every field
// is there for incidents and for notices, so that one template serves both; what does not apply is empty.
// Numbers come with their units. The manual lists the fields with what `about` says of them. What Meta wrote is plain
// text: notifiers escape it for their service.
type View struct {
	Incident  string            `about:"INC-42; empty for a notice"`
	Number    int64             `about:"42; 0 for a notice"`
	State     string            `about:"open, acknowledged or resolved; empty for a notice"`
	Severity  string            `about:"critical, error, warning or info"`
	Rule      string            `about:"the name of the rule"`
	Event     string            `about:"ENDPOINT_ERROR_RATE"`
	Signal    string            `about:"the event in words: Endpoint error rate"`
	WABA      string            `about:"id of the account"`
	Account   string            `about:"its name under accounts, or account and its id"`
	Flow      string            `about:"id of the flow; empty where it is about none"`
	FlowName  string            `about:"its name under flows, or flow and its id"`
	Labels    map[string]string `about:"labels: {{.Labels.team}}"`
	Runbook   string            `about:"URL"`
	At        time.Time         `about:"when it opened or happened, in UTC: {{.At.Format \"15:04\"}}"`
	Threshold string            `about:"of the worst active alert: 10 %, 5 s, BLOCKED"`
	Value     string            `about:"what Meta measured there: 14.28 %"`
	Path      string            `about:"levels that the incident reached: 5 % → 10 % → 50 %"`
	Alerts    []ViewAlert       `about:"alerts of the incident, worst first: {{range .Alerts}}; each has Event, Signal, Threshold, Value, Severity, Active"`
	Errors    []ViewError       `about:"kinds of errors that Meta counted: {{range .Errors}}; each has Type, Rate, Count, Meaning, Help"`
	OldStatus string            `about:"the status that a flow had; of a notice"`
	NewStatus string            `about:"the status that it has now; of a notice"`
	Message   string            `about:"Meta's sentence; empty for an incident"`
	Warning   string            `about:"what Meta warns of; empty for an incident"`
	Fields    map[string]string `about:"what the rule shows under fields: {{index .Fields \"restriction_info.0.remediation\"}}"`
	Notifier  string            `about:"of DELIVERY_PARKED: whose message it is"`
	Problem   string            `about:"of DELIVERY_PARKED: what the service said"`
}

// ViewAlert is one alert of an incident.
type ViewAlert struct {
	Event, Signal, Threshold, Value, Severity string
	Active                                    bool
}

// ViewError is one kind of error that Meta counted.
type ViewError struct{ Type, Rate, Count, Meaning, Help string }

// viewAccount returns how to call an account: its name, or its id where the rules file gives none.
func viewAccount(info *router.FlowInfo, id string) string {
	switch {
	case info.AccountName != "":
		return info.AccountName
	case id != "":
		return "account " + id
	}
	return "an account"
}

func viewIncident(inc *router.Incident, alerts []router.Alert) View {
	v := View{
		Incident: inc.Name(), Number: inc.Number, State: string(inc.State), Severity: inc.Severity.String(), Rule: inc.Rule,
		Event: inc.Event, Signal: router.SignalName(inc.Event), WABA: inc.WABA, Flow: inc.Flow,
		Account:  viewAccount(&inc.FlowInfo, inc.WABA),
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
		WABA: n.WABA, Account: viewAccount(&n.FlowInfo, n.WABA), Flow: n.Flow, FlowName: n.DisplayName(n.Flow),
		Labels: n.Labels, Runbook: n.Runbook,
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
