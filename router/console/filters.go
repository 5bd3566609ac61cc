package console

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"flowbridge/router"
)

// A filter is the query of an address, the same in the API and on the pages: see query. Whatever is not understood is
// refused, since a filter that is passed over shows more than was asked for.

// maxQuery bounds a value of a filter, in bytes.
const maxQuery = 200

// maxNamed bounds what one key may name.
const maxNamed = 50

// defaultLimit and maxLimit bound lists.
const defaultLimit, maxLimit = 100, 500

// query reads a query, and gathers what is wrong with it.
type query struct {
	values   url.Values
	known    []string
	problems []string
}

func (q *query) problem(format string, args ...any) {
	q.problems = append(q.problems, fmt.Sprintf(format, args...))
}

// text returns the value of a key, "" where it is not there.
func (q *query) text(key string) string {
	q.known = append(q.known, key)
	values := q.values[key]
	if len(values) == 0 {
		return ""
	}
	if len(values) > 1 {
		q.problem("%s is given %d times: give it once", key, len(values))
	}
	value := strings.TrimSpace(values[0])
	if len(value) > maxQuery {
		q.problem("%s is longer than %d bytes", key, maxQuery)
		return ""
	}
	return value
}

// list returns the values of a key, given several times or with commas; nil where it is not there.
func (q *query) list(key string) (list []string) {
	q.known = append(q.known, key)
	for _, value := range q.values[key] {
		for word := range strings.SplitSeq(value, ",") {
			switch word = strings.TrimSpace(word); {
			case len(word) > maxQuery:
				q.problem("%s is longer than %d bytes", key, maxQuery)
			case word != "" && !slices.Contains(list, word):
				list = append(list, word)
			}
		}
	}
	if len(list) > maxNamed {
		q.problem("%s names more than %d", key, maxNamed)
		return nil
	}
	return list
}

// oneOf returns the value of a key that takes one of some words.
func oneOf[S ~string](q *query, key string, allowed ...S) S {
	value := S(q.text(key))
	if value != "" && !slices.Contains(allowed, value) {
		words := make([]string, len(allowed))
		for i, a := range allowed {
			words[i] = string(a)
		}
		q.problem("unknown %s %q: use %s", key, value, orWords(words))
		return ""
	}
	return value
}

// stateOf returns the value of state, "" for all.
func stateOf[S ~string](q *query, allowed ...S) S {
	if state := oneOf(q, "state", append(slices.Clone(allowed), stateAll)...); state != stateAll {
		return state
	}
	return ""
}

func orWords(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// yes returns true or false, nil where the key is not there.
func (q *query) yes(key string) *bool {
	switch oneOf(q, key, "true", "false") {
	case "true":
		return new(true)
	case "false":
		return new(false)
	}
	return nil
}

// limit reads limit, from 1 to maxLimit.
func (q *query) limit(otherwise int) int {
	value := q.text("limit")
	if _, given := q.values["limit"]; !given {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxLimit {
		q.problem("limit is a number from 1 to %d, not %q", maxLimit, value)
		return otherwise
	}
	return n
}

// days reads days, from 1 to 90.
func (q *query) days(otherwise int) int {
	value := q.text("days")
	if _, given := q.values["days"]; !given {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 90 {
		q.problem("days is a number from 1 to 90, not %q", value)
		return otherwise
	}
	return n
}

// before reads where a page begins: what is told of the last of the page before.
func (q *query) before(what string) int64 {
	value := q.text("before")
	if _, given := q.values["before"]; !given {
		return 0
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 1 {
		q.problem("before is %s, not %q", what, value)
	}
	return n
}

// number reads the number of an incident, as 42 or INC-42.
func (q *query) number(key string) int64 {
	value := q.text(key)
	if value == "" {
		return 0
	}
	n, _ := router.ParseIncidentName(value)
	if n == 0 {
		q.problem("%s is the number of an incident, such as INC-42, not %q", key, value)
	}
	return n
}

// time reads a time, a day, or how long ago.
func (q *query) time(key string, now time.Time) time.Time {
	value := q.text(key)
	if value == "" {
		return time.Time{}
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(form, value); err == nil && t.Year() > 1970 && t.Year() < 3000 {
			return t.UTC()
		}
	}
	if d, ok := router.ParseDuration(value); ok && d > 0 {
		return now.Add(-d).UTC()
	}
	q.problem("%s: %q is no time: write 2026-03-02T08:00:00Z, 2026-03-02, or how long ago, such as 4h or 30d", key, value)
	return time.Time{}
}

// err says all that is wrong; unknown keys too.
func (q *query) err() error {
	for _, key := range slices.Sorted(maps.Keys(q.values)) {
		if !slices.Contains(q.known, key) &&
			!(strings.HasPrefix(key, labelKey) && slices.Contains(q.known, labelKey+"<name>")) {
			q.problem("unknown key %q: use %s", bounded(key, maxActor), orWords(q.known))
		}
	}
	if len(q.problems) == 0 {
		return nil
	}
	return refuse(http.StatusBadRequest, "%s", strings.Join(q.problems, "; "))
}

// readQuery reads the query of a request.
func readQuery(r *http.Request) (*query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the query cannot be read: %v", err)
	}
	return &query{values: values}, nil
}

// labelKey begins the key of a filter by a label: label.team=payments.
const labelKey = "label."

// labels reads label.<name>=value, and team=value for label.team.
func (q *query) labels() map[string]string {
	labels := map[string]string{}
	if team := q.text("team"); team != "" {
		labels["team"] = team
	}
	for key := range q.values {
		name, ok := strings.CutPrefix(key, labelKey)
		if !ok {
			continue
		}
		value := q.text(key)
		q.known = q.known[:len(q.known)-1] // it is no key of its own
		switch {
		case name == "" || value == "":
			q.problem("%s: give the label a name and a value, as in label.team=payments", bounded(key, maxActor))
		case labels[name] != "" && labels[name] != value:
			q.problem("%s is %q and %q", name, labels[name], value)
		}
		labels[name] = value
	}
	q.known = append(q.known, labelKey+"<name>")
	if len(labels) > 10 {
		q.problem("at most 10 labels")
	}
	return labels
}

// severities reads words, and what is as bad as a word or worse: error, >=error.
func (q *query) severities() (list []router.Severity) {
	for _, word := range q.list("severity") {
		name, more := strings.CutPrefix(word, ">=")
		s, err := router.ParseSeverity(strings.TrimSpace(name))
		if err != nil {
			q.problem("severity: %v", err)
			continue
		}
		for {
			if !slices.Contains(list, s) {
				list = append(list, s)
			}
			if s++; !more || s > router.Critical {
				break
			}
		}
	}
	return list
}

// subjectKinds are what an incident can be about.
var subjectKinds = []router.SubjectKind{router.SubjectFlow, router.SubjectAccount, router.SubjectPhone,
	router.SubjectTemplate,
	router.SubjectEntity, router.SubjectPayment, router.SubjectBridge}

// subject reads what it is about: a kind, or a kind and an id (phone:15550100), with the id in subject_id as well.
func (q *query) subject() (router.SubjectKind, string) {
	value, id := q.text("subject"), q.text("subject_id")
	kind, behind, both := strings.Cut(value, ":")
	if value != "" && !slices.Contains(subjectKinds, router.SubjectKind(kind)) {
		words := make([]string, len(subjectKinds))
		for i, k := range subjectKinds {
			words[i] = string(k)
		}
		q.problem("unknown subject %q: use %s, with an id as in phone:15550100", value, orWords(words))
	}
	if both && id != "" && behind != id {
		q.problem("subject names %q, and subject_id %q", behind, id)
	}
	if both {
		id = behind
	}
	return router.SubjectKind(kind), id
}

// stateActive stands for open and acknowledged.
const stateActive = "active"

// order of a list: see router.IncidentFilter.Worst.
const (
	orderNewest = "newest"
	orderWorst  = "worst"
)

// incidentFilter reads a filter of incidents.
func (c *Console) incidentFilter(q *query, limit int) (router.IncidentFilter, error) {
	now := c.cfg.Now()
	f := router.IncidentFilter{Severities: q.severities(), Limit: q.limit(limit)}
	switch state := stateOf(q, string(router.IncidentOpen), string(router.IncidentAcknowledged), stateActive,
		string(router.IncidentResolved)); state {
	case stateActive:
		f.Active = true
	default:
		f.State = router.IncidentState(state)
	}
	for _, key := range []string{"event", "signal"} {
		for _, name := range q.list(key) {
			f.Signals = router.Union(f.Signals, router.SignalsNamed(strings.ToUpper(name)))
		}
	}
	f.Subject, f.SubjectID = q.subject()
	f.Flow = c.flowOf(q)
	f.WABA, f.Labels = q.text("waba"), q.labels()
	f.Notifier, f.Rule = q.text("notifier"), q.text("rule")
	f.From, f.To = q.time("from", now), q.time("to", now)
	f.Silenced, f.Trouble = q.yes("silenced"), q.yes("trouble")
	f.Query = q.text("q")
	f.Worst = oneOf(q, "order", orderNewest, orderWorst) == orderWorst
	f.Before = q.before("the number of an incident")
	return f, q.err()
}

// flowOf reads a flow, by its id or its name.
func (c *Console) flowOf(q *query) string {
	flow, err := c.flowID(q.text("flow"))
	if err != nil {
		q.problem("flow: %v", err)
	}
	return flow
}

// eventFilter reads a filter of events.
func (c *Console) eventFilter(q *query) (router.EventFilter, error) {
	now := c.cfg.Now()
	f := router.EventFilter{
		State: stateOf(q, router.EventWaiting, router.EventFolded, router.EventUnreadable, router.EventFailed),
		Source: oneOf(q, "source", router.SourceMeta, router.SourceConsole, router.SourceSlack, router.SourcePagerDuty,
			router.SourceFlowbridge),
		Flow: c.flowOf(q), WABA: q.text("waba"), Incident: q.number("incident"),
		From: q.time("from", now), To: q.time("to", now), Query: q.text("q"), Digest: q.text("digest"),
		Before: q.before("the position of an event"), Limit: q.limit(defaultLimit),
	}
	for _, name := range q.list("name") {
		f.Names = router.Union(f.Names, []string{strings.ToUpper(name)})
	}
	return f, q.err()
}

// deliveryFilter reads a filter of deliveries.
func (c *Console) deliveryFilter(q *query) (router.DeliveryFilter, error) {
	f := router.DeliveryFilter{
		State: stateOf(q, router.DeliveryWaiting, router.DeliveryDelivered, router.DeliveryParked,
			router.DeliveryCancelled),
		Notifier: q.text("notifier"), Incident: q.number("incident"), Query: q.text("q"),
		Before: q.before("the id of a delivery"), Limit: q.limit(defaultLimit),
	}
	return f, q.err()
}
