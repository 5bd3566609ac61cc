package pagerduty

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"flowbridge/router"
)

// Bounds of custom_details, ours: a value of Meta's may have megabytes, and a page must stay readable.
const (
	maxText  = 2048 // characters of one value
	maxLines = 50   // of one list
)

// details are an event's custom_details. Numbers carry their units; times are RFC 3339 in UTC. Event rules of
// PagerDuty may refer to the names, so they stay.
type details struct {
	LeftOut  string `json:"left_out,omitempty"` // why there is nothing else
	Incident string `json:"incident,omitempty"` // INC-42
	Text     string `json:"text,omitempty"`     // from the rule's template

	Now       string   `json:"now,omitempty"`    // what Meta measured last of the worst active signal: "14.28 %"
	Before    string   `json:"before,omitempty"` // the measurement before that
	P50       string   `json:"p50,omitempty"`
	Requests  string   `json:"requests,omitempty"`      // in the window
	Window    string   `json:"measured_over,omitempty"` // "30 min"
	Threshold string   `json:"threshold,omitempty"`
	Path      string   `json:"threshold_path,omitempty"` // "5 % → 10 % → 50 %"
	Active    []string `json:"active,omitempty"`         // alerts that keep the incident open, worst first
	CameBack  string   `json:"came_back,omitempty"`      // "twice", while its recovery was held back
	Status    string   `json:"status,omitempty"`         // "PUBLISHED → DEPRECATED"
	Meaning   string   `json:"status_meaning,omitempty"` // for the people who use the flow
	Impact    string   `json:"impact,omitempty"`         // of the worst active signal for users, where no status says it
	Help      string   `json:"what_helps,omitempty"`     // by Meta's word, with its page
	Errors    []string `json:"errors,omitempty"`         // types, shares, what they mean and what helps
	MetaSays  string   `json:"meta_says,omitempty"`
	MetaWord  string   `json:"meta_word,omitempty"` // of another subject than a flow: "PAUSED"
	Warning   string   `json:"warning,omitempty"`
	Error     string   `json:"error,omitempty"` // of a parked delivery

	About string `json:"should_have_been_told,omitempty"` // by a parked delivery
	Retry string `json:"retry,omitempty"`                 // the command that tries it again

	Acknowledged string `json:"acknowledged_by,omitempty"` // wherever that was done

	Also      []string `json:"also_active,omitempty"`   // on the same flow, in other incidents
	Elsewhere []string `json:"not_delivered,omitempty"` // who else could not be told of this incident

	Facts   map[string]string `json:"facts,omitempty"`   // that Meta said of an account and what belongs to it
	Fields  map[string]string `json:"fields,omitempty"`  // of Meta's value, that the rule wants shown
	Subject string            `json:"subject,omitempty"` // what it is about, where that is no flow
	Account string            `json:"account_name,omitempty"`
	Flow    string            `json:"flow_name,omitempty"`
	FlowID  string            `json:"flow_id,omitempty"`
	WABA    string            `json:"waba_id,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Rule    string            `json:"rule,omitempty"`
}

func incidentDetails(n *router.Notification) details {
	inc := n.Incident
	d := common(about(inc.Subject, inc.FlowInfo, inc.WABA, inc.Flow), inc.Rule, inc.Text, inc.Fields)
	d.Facts = facts(inc.Facts)
	d.Incident = inc.Name()
	if worst := counting(n.Alerts); len(worst) == 0 || worst[0].Event == inc.Event {
		d.Path = line(router.FormatPath(inc.Event, inc.Path), maxText)
	}
	measured, ok := newest(n.Alerts)
	if ok {
		d.measure(measured.Event, measured.Reading)
		d.Before = format(measured.Event, measured.Before)
	}
	if worst := counting(n.Alerts); len(worst) > 0 {
		d.MetaWord = line(inc.Subject.Word(worst[0].Level), maxText)
	}
	drill := router.IsDrill(inc.Flow) // which means nothing for users
	if worst := counting(n.Alerts); len(worst) > 0 && !drill {
		d.advise(worst[0].Event, worst[0].Level)
	}
	d.Active = lines(counting(n.Alerts), func(a router.Alert) string {
		if a.Event == measured.Event { // Now is newer than what was measured at this level
			a.Value = nil
		}
		return alertLine(a)
	})
	if inc.State == router.IncidentAcknowledged {
		d.Acknowledged = line(inc.AcknowledgedBy, maxName)
	}
	if inc.Flaps > 0 {
		d.CameBack = router.FormatTimes(inc.Flaps)
	}
	d.Also = lines(n.AlsoActive(), func(a router.Alert) string {
		return fmt.Sprintf("%s (%s)", alertLine(a), router.IncidentName(a.Incident))
	})
	if !drill {
		d.Meaning = levelMeaning(slices.Concat(counting(n.Alerts), n.Also))
	}
	d.Elsewhere = lines(n.Problems, func(p router.Problem) string { return p.Notifier + ": " + p.Error })
	return d
}

func noticeDetails(n *router.Notice) details {
	d := common(aboutNotice(n), n.Rule, n.Text, n.Fields)
	d.Facts = facts(n.Facts)
	d.measure(n.Name, n.Reading)
	d.Threshold = format(n.Name, n.Threshold)
	d.Status = line(n.NewStatus, maxText)
	if n.OldStatus != "" {
		d.Status = line(n.OldStatus+" → "+n.NewStatus, maxText)
	}
	if meaning := router.StatusMeaning(n.NewStatus); meaning != "" {
		d.Meaning = n.NewStatus + ": " + meaning
	}
	if !n.Subject.OfFlow() && n.Troubles() {
		d.advise(n.SignalKey(), router.Level(n.Change))
	}
	d.MetaWord = line(n.Subject.Word(router.Level(n.Change)), maxText)
	d.MetaSays, d.Warning = line(n.Message, maxText), line(n.Warning, maxText)
	if n.Act != nil {
		d.Error, d.About = line(n.Act.Error, maxText), line(n.Act.About, maxText)
		if n.Act.Delivery != 0 {
			d.Retry = fmt.Sprintf("flowbridge deliveries retry %d", n.Act.Delivery)
		}
		if n.Act.Incident != 0 {
			d.Incident = router.IncidentName(n.Act.Incident)
		}
	}
	return d
}

// common is what the details of incidents and notices have in common.
func common(of thing, rule, text string, fields []router.Field) details {
	info := of.info
	d := details{
		Text: line(text, maxText), Rule: line(rule, maxText),
		WABA: line(of.waba, maxText), Account: line(info.AccountName, maxText),
	}
	if of.subject.OfFlow() {
		d.Flow, d.FlowID = line(info.FlowName, maxText), line(of.flow, maxText)
	} else {
		d.Subject = line(of.name(), maxText)
	}
	if len(fields) > 0 {
		d.Fields = make(map[string]string, len(fields))
	}
	for _, f := range fields {
		d.Fields[line(f.Name, maxName)] = line(f.Value, maxText)
	}
	if len(info.Labels) > 0 {
		d.Labels = make(map[string]string, len(info.Labels))
	}
	for name, value := range info.Labels {
		d.Labels[line(name, maxName)] = line(value, maxText)
	}
	return d
}

// advise says what a signal means for users, and what helps.
func (d *details) advise(event string, level router.Level) {
	signal := router.SignalOf(event)
	if signal.Window != 0 {
		d.Window = router.FormatDuration(signal.Window)
	}
	if router.LevelMeaning(event, level) == "" || signal.Moves() {
		d.Impact = cmp.Or(router.LevelMeaning(event, level), signal.Impact)
	}
	if d.Help = router.LevelHelp(event, level); d.Help != "" && signal.Link != "" {
		d.Help += " " + signal.Link
	}
}

// facts are what Meta said beside what happened, by name. Of two with one name both stand there.
func facts(all []router.Fact) map[string]string {
	if len(all) == 0 {
		return nil
	}
	out := make(map[string]string, len(all))
	for _, f := range all[:min(len(all), maxLines)] {
		name := line(f.Name, maxName)
		if had := out[name]; had != "" {
			f.Text = had + "; " + f.Text
		}
		out[name] = line(f.Text, maxText)
	}
	return out
}

// measure fills in what Meta measured.
func (d *details) measure(event string, r router.Reading) {
	d.Now = format(event, r.Value)
	d.P50 = format(event, r.P50)
	d.Requests = format("", r.Requests)
	d.Errors = lines(r.Errors, errorLine)
}

// format writes a number in the event's unit, nothing for one that Meta did not send.
func format(event string, v *float64) string {
	if v == nil {
		return ""
	}
	return router.FormatValue(event, *v)
}

// newest returns the alert with the newest reading of the worst signal: a refresh at 10 % is newer than what
// was measured when 50 % became active.
func newest(alerts []router.Alert) (newest router.Alert, ok bool) {
	worst := counting(alerts)
	if len(worst) == 0 {
		return newest, false
	}
	measured := func(a *router.Alert) bool { return a.Value != nil || len(a.Errors) > 0 }
	if last := router.LastReport(alerts, worst[0].Event, measured); last != nil {
		return *last, true
	}
	return newest, false
}

// counting returns the alerts that keep their incident open.
func counting(alerts []router.Alert) []router.Alert {
	return slices.DeleteFunc(slices.Clone(alerts), func(a router.Alert) bool { return !a.Counts() })
}

// alertLine writes an alert: "Endpoint error rate over 10 % since 2026-03-14T03:00:00Z: 14.28 %".
func alertLine(a router.Alert) string {
	text := router.Sentence(a.Event, a.Level) + " since " + timestamp(a.Since)
	if a.Value != nil {
		text += ": " + format(a.Event, a.Value)
	}
	if !a.Active {
		text += "; over, if it stays so until " + timestamp(a.HeldUntil)
	}
	return text
}

// errorLine writes a kind of error: "timeout_error, 66.66 % of the errors (2): the endpoint took over 10 s to
// answer; what helps: answer faster".
func errorLine(e router.ErrorCount) string {
	text := e.Type
	help, known := router.DescribeError(e.Type)
	if known {
		text = help.Type
	}
	if e.Rate != nil {
		text += ", " + router.Percent.Format(*e.Rate) + " of the errors"
	}
	if e.Count != nil {
		text += " (" + format("", e.Count) + ")"
	}
	if known {
		text += ": " + help.Meaning + "; what helps: " + help.Help
	}
	return text
}

// levelMeaning says what the worst level among the alerts means, of the first signal that has something to say: BLOCKED
// includes THROTTLED.
func levelMeaning(alerts []router.Alert) (meaning string) {
	var worst *router.Alert
	for i := range alerts {
		a := &alerts[i]
		signal := router.SignalOf(a.Event)
		if signal.Moves() {
			continue // see advise
		}
		if said := router.LevelMeaning(a.Event, a.Level); said != "" && (worst == nil || a.Reaches(worst)) {
			worst, meaning = a, string(a.Level)+": "+said
		}
	}
	return meaning
}

// lines writes at most maxLines of a list, and says how many there are more.
func lines[T any](list []T, write func(T) string) []string {
	var out []string
	for _, v := range list[:min(len(list), maxLines)] {
		out = append(out, line(write(v), maxText))
	}
	if more := len(list) - maxLines; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

// object has the type that the library wants in a change event.
func object(d details) map[string]any {
	body, err := json.Marshal(d)
	if err != nil {
		return nil // details are text, and always marshal
	}
	var out map[string]any
	_ = json.Unmarshal(body, &out)
	return out
}
