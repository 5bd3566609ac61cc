package rules

import (
	"slices"
	"strings"

	"flowbridge/router"
)

// key is one key that a map of a rules file may have.
type key struct {
	name     string
	required bool
	value    schema
	about    string // for people: what it says, in one to three sentences
}

// table lists the keys of one kind of map. The loader knows no others, and the schema is made of the same tables, so
// that the two cannot drift apart.
type table struct {
	where string // where its keys belong: "under match"
	keys  []key
}

func (t *table) names() []string {
	names := make([]string, len(t.keys))
	for i := range t.keys {
		names[i] = t.keys[i].name
	}
	return names
}

// value returns the schema of a key's value.
func (t *table) value(name string) schema { return t.keys[slices.Index(t.names(), name)].value }

func (t *table) has(name string) bool { return slices.Contains(t.names(), name) }

// misplaced says where a key belongs that somebody wrote into a map of another table, or "".
func misplaced(name string, here *table) string {
	for _, t := range []*table{&ruleKeys, &matchKeys, &routeKeys, &fileKeys, &watchKeys, &drillKeys, &reportKeys} {
		if t != here && t.has(name) {
			return name + " belongs " + t.where
		}
	}
	return ""
}

// Forms of values, as regular expressions that the loader and JSON Schema read alike.
const (
	dayForm       = `(sun|mon|tue|wed|thu|fri|sat)`
	daysForm      = dayForm + `( *- *` + dayForm + `)?`
	clockForm     = `([01][0-9]|2[0-3]):([0-5][0-9])`
	weeklyForm    = `(sunday|monday|tuesday|wednesday|thursday|friday|saturday) ` + clockForm
	hoursForm     = clockForm + `-(` + clockForm + `|24:00)`
	dateForm      = `[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])`
	datesForm     = dateForm + `( *\.\. *` + dateForm + `)?`
	oneLineForm   = `^[^\x00-\x1f\x7f-\x9f]*$`    // no control characters
	phoneForm     = `[^0-9]*([0-9][^0-9]*){7,20}` // see router.NewPerson
	waitForm      = router.DurationForm
	referenceForm = `\$\{([A-Za-z_][A-Za-z0-9_]*|file:[^}]+)\}`
	piecedForm    = `[^$]*(` + referenceForm + `[^$]*)+`
	numberForm    = `[0-9]+(\.[0-9]+)? *(%|ms|s|m|d|)`
	thresholdForm = ` *(>=|<=|>|<|) *` + numberForm + ` *`
	// severitiesForm leaves out comparisons that no severity is in.
	severitiesForm = ` *((>=|<=|) *(critical|error|warning|info)|> *(error|warning|info)|< *(critical|error|warning)) *`
)

var fileKeys = table{"at the top of the file, beside version", []key{
	{"version", true, schema{"enum": []any{1, "1"}}, "Version of the format: 1."},
	{"flows", false, mapOf(objectOf(flowKeys, text(), reservedLabels), byID()),
		"Names and owners of your flows, by flow id. Ids are text, so put them in quotes."},
	{"accounts", false, mapOf(objectOf(accountKeys, text(), reservedOfAccounts), byID()),
		"Names and owners of your WhatsApp Business Accounts, by id. Their flows have their labels too, unless they say " +
			"otherwise."},
	{"notifiers", false, mapOf(notifierSchema(), schema{"minProperties": 1}),
		"Where people are told, by a name of your choice. At least one is needed in all files together."},
	{"windows", false, mapOf(objectOf(windowKeys, nil, nil).with("minProperties", 1), nil),
		"Named times, for during and except: days of the week, hours, dates such as holidays."},
	{"rules", false, schema{"type": "array", "items": ruleSchema()},
		"Tried from top to bottom: the first that matches wins, unless it says continue: true. What opened an incident " +
			"also closes it: nothing has to be said about recoveries."},
	{"default", false, objectOf(actionKeys, nil, nil).requiring("notify"),
		"Whom to tell of events that no rule matched. Without it nobody is told of them."},
	{"unheard_after", false, mapOf(schema{"anyOf": []any{wait(), word(never)}},
		schema{"propertyNames": schema{"enum": measuredEvents()}}),
		"By the name of an event, how long nothing need be heard of an alert that is active, before flowbridge asks Meta's " +
			"Graph API whether it is over, or says on the card that nothing was heard: {ENDPOINT_LATENCY: 4h}. never: for " +
			"ever. At least 10m. Default: 30m for ENDPOINT_AVAILABILITY, 2h for error rates and latency."},
	{"versions", false, mapOf(form(dateForm), schema{"propertyNames": schema{"pattern": whole(router.FlowVersionForm)}}),
		"By the version of the Flow JSON, the day on which it expires, as Meta's changelog names it: {\"5.0\": " +
			"2026-12-24}. A warning about a version (FLOW_VERSION_EXPIRY_WARNING) is counted down to noon of that day, in " +
			"UTC. Without it the dates count that flowbridge knows from the changelog."},
	{"fallback", false, text(),
		"The notifier that is told when a delivery could not be made for good (a revoked token, a wrong routing key), or " +
			"an event could not be folded. It also hears of the bridge's own trouble where watch names nobody; if it pages, " +
			"of severity error and up."},
	{"watch", false, objectOf(watchKeys, nil, nil),
		"How the bridge watches itself and its source, and whom it tells. Certificates, delays, bad signatures, slow " +
			"answers, standstill and the disk are watched in any case; each is an incident of an event that begins with " +
			"BRIDGE_, which rules may name."},
	{"drill", false, objectOf(drillKeys, nil, nil),
		"Has the bridge try itself: a signed pair, marked DRILL, goes the way of a real alert, and trouble is told if it " +
			"does not arrive."},
	{"report", false, objectOf(reportKeys, nil, nil),
		"Has the bridge tell once a week what the week was like, as a notice (BRIDGE_REPORT)."},
}}

var reportKeys = table{"under report", []key{
	{"every", true, form(weeklyForm),
		`The day of the week and the time: "monday 09:00". The report is of the seven days before.`},
	{"to", true, text(), "Name of the notifier that is told."},
	{"time_zone", false, open(zoneNames()...),
		"Whose clock counts, also for nights, by its name: Europe/Berlin. Default: UTC."},
}}

var watchKeys = table{"under watch", []key{
	{"after", false, form(waitForm, "auto"),
		"How long nothing well signed may come from Meta until that is trouble (BRIDGE_SOURCE_SILENT): 24h, at least 5m; " +
			"or auto: twice the second longest pause of the last four weeks, between 1h and 7d; 24h until a week is known. " +
			"Default: silence is no trouble."},
	{"notify", false, actionKeys.value("notify"),
		"Whom to tell of the bridge's own trouble that no rule names. Default: fallback; if that pages, of severity error " +
			"and up."},
}}

var drillKeys = table{"under drill", []key{
	{"every", true, form("([1-9]|[1-8][0-9]|90)d"), "How often: 1d to 90d, in whole days."},
	{"at", false, form(clockForm), `At which time of the day: "10:00", which is the default.`},
	{"time_zone", false, open(zoneNames()...), "Whose clock counts, by its name: Europe/Berlin. Default: UTC."},
	{"rule", false, text(),
		"Name of the rule that acts, as if it had matched. Default: those that match an alert of a flow that the file " +
			"does not name."},
}}

var flowKeys = table{"to a flow", []key{
	{"name", false, text(), "What people call the flow. Rules can match it under flow."},
	{"runbook", false, form(`https?://.+`).with("not", referring()),
		"A page that says what to do, linked from every message about the flow."},
	{"probe", false, boolean(),
		"true: while Meta reports trouble with the flow's endpoint, flowbridge looks at it itself once a minute, and the " +
			"card says what it saw. Default: what its account says, else false."},
	{"endpoint", false, form(endpointPattern).with("not", referring()),
		"Where the endpoint is, for probes: https://shop.example.com/flow. Default: what Meta's Graph API says, for which " +
			"META_ACCESS_TOKEN is needed."},
}}

var accountKeys = table{"to an account", []key{
	{"name", false, text(), "What people call the account. Rules can match it under waba."},
	{"runbook", false, form(`https?://.+`).with("not", referring()),
		"A page that says what to do, linked from messages about the account."},
	{"probe", false, boolean(), "true: the endpoints of its flows are probed, unless a flow says otherwise."},
}}

// notKeys are those of what a key of match must not be.
var notKeys = table{"in a key of match: {not: ...}", []key{
	{"not", true, text(), "A value or a list, of which the event must have none. What does not say it has none."},
}}

// notifierKeys are the keys of the notifiers of a kind.
func notifierKeys(kind router.Kind) table {
	t := table{"to a notifier of kind " + string(kind), []key{{"kind", true, schema{"const": string(kind)}, kind.About()}}}
	for _, k := range kind.Keys() {
		value := address(k.Forms...)
		if k.Is == router.KeyAddress {
			value = address(append(k.Forms, piecedForm)...)
		}
		if k.Is == router.KeyPeople {
			value = some(form(k.Forms...))
		}
		t.keys = append(t.keys, key{k.Name, k.Is != router.KeyPeople, value, k.About})
	}
	if kind.Pages() {
		t.keys = append(t.keys, key{drillKey, false, word(drillPages),
			"page: drills page here as real trouble does. Default: drills are not told here."})
	}
	return t
}

// A notifier that pages is told of drills only where its entry says drill: page.
const drillKey, drillPages = "drill", "page"

// kindWords are the kinds as they are written.
func kindWords() (words []string) {
	for _, kind := range router.Kinds() {
		words = append(words, string(kind))
	}
	return words
}

var windowKeys = table{"to a window", []key{
	{"days", false, some(form(daysForm)), "Days of the week or spans of them: mon-fri, [sat, sun]. Default: every day."},
	{"hours", false, some(form(hoursForm)),
		`Parts of the day: "09:00-18:00". "22:00-06:00" goes on after midnight and belongs to the day on which it begins. Default: the whole day.`},
	{"dates", false, some(form(datesForm)),
		`Days of the year, one by one or from..to: "2026-12-24", "2026-12-24..2026-12-26". With days, both must hold. Default: every day.`},
	{"time_zone", false, open(zoneNames()...),
		"Whose clock counts, by its name: Europe/Berlin. Required unless it is UTC."},
}}

var matchKeys = table{"under match", []key{
	{"event", false, asks(open(router.KnownEvents()...)),
		"Names of events. Those of the account that are not about flows are named like their field, in upper case."},
	{"field", false, asks(open(knownFields()...)), "Fields of the account that the app is subscribed to."},
	{"threshold", false, asks(schema{"type": []any{"string", "number"}, "pattern": whole(thresholdForm), "minimum": 0}),
		`Thresholds of an alert: 10, "10%" or "5s", with >=, >, <= or < before it if need be. Meta sends ` +
			router.ThresholdWords() + `. Before a version expires it is the days that are left, always with d: "<=3d" of ` +
			"21, 14, 7, 3, 1 and 0 days."},
	{"alert_state", false, asks(word(router.Activated, router.Deactivated)),
		"ACTIVATED, or nothing: the rule opens an incident, and the recovery closes it by itself. DEACTIVATED matches " +
			"recoveries only, to tell somebody else of them."},
	{"flow", false, asks(text()), "Flows, by id or by the name that they have under flows."},
	{"waba", false, asks(text()), "WhatsApp Business Accounts, by id or by the name that they have under accounts."},
	{"subject", false, asks(word(subjectKinds()...)),
		"What the event is about: a flow, an account, a phone number, a template in a language, a business entity or a " +
			"payment configuration."},
	{"change", false, asks(open(allChanges()...)),
		"Meta's own word for what happened to the account, the number or the template: DISABLE, FLAGGED, PAUSED, RED. " +
			"Good news that closes nothing, such as APPROVED, is told only if a rule names it here."},
	{"phone", false, asks(schema{"type": []any{"string", "number"}, "pattern": whole(phoneForm), "minimum": 1e6,
		"not": referring()}),
		`Phone numbers, whole and with their country code: "+1 555-078-3881" or 15550783881.`},
	{"template", false, asks(text()),
		"Message templates, by id or name, in every language; order_confirmation (en_US) in one."},
	{"severity", false, asks(form(severitiesForm)),
		`How bad it is by itself, before rules say anything: a severity, a list, or a comparison such as ">=error". ` +
			"It goes by the signal and its level, and for account_alerts it is Meta's own; what rules say under severity " +
			"does not count here."},
	{"old_status", false, asks(open(router.Statuses()...)), "The status that a flow had, of FLOW_STATUS_CHANGE."},
	{"new_status", false, asks(open(router.Statuses()...)),
		"The status that a flow has now, of FLOW_STATUS_CHANGE. BLOCKED and THROTTLED open an incident."},
	{"error_type", false, asks(open(knownErrorTypes()...)),
		"Kinds of errors that Meta counted, in any of their spellings."},
	{"when", false, text(),
		"An expression over the event that must be true: p90_latency > 6000 and requests_count >= 100. It knows " +
			"event, field, flow (an id), flow_name, waba, account_name, subject, change, phone (its digits), " +
			"template (its name), severity (a text: == and in), alert_state, threshold, error_rate, p90_latency, p50_latency, " +
			"availability, requests_count (of latency alone), old_status, new_status, message, warning, errors, " +
			"labels, every label, and value: what Meta sent."},
}}

var actionKeys = table{"in a rule", []key{
	{"notify", false, some(schema{"anyOf": []any{text(), objectOf(routeKeys, nil, nil)}}).described(
		"a notifier, or a map with to"),
		"Whom to tell: names of notifiers, or {to, severity, after, unless, mention, remind}. Two entries may tell the " +
			"same notifier at different times of different severities."},
	{"severity", false, schema{"anyOf": []any{word(severityWords()...), severityMap()}},
		"How bad it is: one word, or a map from thresholds, statuses and changes to words: {DISABLE: critical}. " +
			"Default: 5 % and 1 s are a warning, 10 % and 5 s an error, 50 %, 7 s and a lack of " +
			"availability critical, THROTTLED an error, BLOCKED critical, news info; a version that expires is info, 7 days " +
			"before a warning, 3 an error, 1 critical."},
	{"group_by", false, word(string(router.GroupByThreshold), string(router.GroupByFlow)),
		"What makes one incident: threshold, each its own; flow, all signals of a flow together. Default: the signal of a " +
			"flow, with all its thresholds."},
	{"resolve_after", false, wait(),
		"How long a recovery is held back, so that trouble that comes and goes stays one incident and pages once: 10m. " +
			"Default: not at all."},
	{"acknowledged_for", false, wait(),
		"How long an acknowledgement lasts: 4h. When nobody follows it up until then, with a note or by handing the " +
			"incident on, it ends: the incident is open again, and PagerDuty pages anew. At least 5m. Default: for good."},
	{"on_escalation", false, word(string(reactNote), string(reactPage)),
		"What happens when an incident gets worse that somebody has acknowledged: note, it is seen where it was told; " +
			"page, PagerDuty pages anew. Default: note."},
	{"on_auto_resolve", false, word(string(reactNote), string(reactPage)),
		"What happens when PagerDuty ends a page by itself (a time-out, an automation) while Meta still reports the " +
			"trouble: page, it is paged once more; note, it is seen where it was told, and paged when it gets worse. Default: " +
			"page."},
	{"title", false, text(),
		"Heading of the message, a Go template over the incident or notice: {{.FlowName}} is at {{.Value}}."},
	{"text", false, text(), "Text of the message, a Go template like title."},
	{"fields", false, some(text()),
		"Facts of what Meta sent that are shown, by their names: reason, or a path such as response.topic or " +
			"restriction_info.0.remediation. Of a form that somebody filled nothing else is shown."},
}}

var ruleKeys = table{"in a rule", slices.Concat([]key{
	{"name", true, text().with("maxLength", 200).with("allOf", []any{schema{"pattern": oneLineForm}}).with("not",
		schema{"anyOf": []any{schema{"const": defaultName}, referring()}}),
		"What people see on the incident: say when the rule applies. No two rules have the same."},
	{"match", true, objectOf(matchKeys, asks(text()), nil),
		"What an event must be; all keys must hold, a list means any of its values, and {not: ...} none of them. {} " +
			"matches everything. Beside the keys here every label that some flow or account has is one."},
	{"during", false, some(text()), "Names of windows: the rule only matches events that happened in one of them."},
	{"except", false, some(text()), "Names of windows: the rule matches no event that happened in one of them."},
	{"continue", false, boolean(),
		"true: later rules are asked as well. The first that says something about severity and the like wins, and all " +
			"notify."},
	{"drop", false, boolean(), "true: the event is forgotten, and nobody is told."},
}, actionKeys.keys)}

var routeKeys = table{"in an entry of notify: {to: NAME, ...}", []key{
	{"to", true, text(), "Name of a notifier."},
	{"severity", false, some(form(severitiesForm)),
		`What it is told of: a severity, a list, or a comparison such as ">=error". Default: everything.`},
	{"after", false, wait(), "It is told only if the trouble is still there after this long: 5m. Default: at once."},
	{"unless", false, word(string(router.IncidentAcknowledged)),
		"acknowledged: it is not told while somebody has acknowledged the incident."},
	{"mention", false, some(form(router.MentionForms()...)),
		"Whom a message in Slack calls when the incident opens and when it gets worse, and never for new numbers: " +
			"here, channel, ids of members (U..., W...) and of user groups (S...)."},
	{"remind", false, wait(),
		"It is told again this often while the incident is open and nobody has acknowledged it: 30m. Slack says so in the " +
			"thread, with those whom mention names, and PagerDuty pages anew. At least 5m, and 48 times at most. Default: " +
			"never."},
}}

// reservedLabels are names that a label cannot have, since rules know them already.
func reservedLabels() []string {
	names := matchKeys.names()
	for name := range whenTypes(nil) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, strings.Compare)
	return names
}

// reservedOfAccounts are those of an account: an endpoint is a flow's.
func reservedOfAccounts() []string { return append(reservedLabels(), "endpoint") }
