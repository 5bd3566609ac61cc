package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"flowbridge/router"
)

// A list asks the database a bounded number of times, however many incidents it has: once for the incidents (in the
// order of what is worst at most three times, and once for where a page begins), once for the alerts of all of them,
// and so on.

// Incidents returns incidents with all that people may ask of them. It returns router.ErrNotFound where the order is by
// what is worst, and there is no incident Before.
func (s *Store) Incidents(ctx context.Context, f router.IncidentFilter) ([]router.IncidentDetail, error) {
	found, err := s.find(ctx, &f)
	if err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	return s.details(ctx, found)
}

// IncidentRows is Incidents without timelines and receipts.
func (s *Store) IncidentRows(ctx context.Context, f router.IncidentFilter) ([]router.IncidentRow, error) {
	found, err := s.find(ctx, &f)
	if err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	return s.rows(ctx, found)
}

// rows adds to incidents their alerts, and how their deliveries stand.
func (s *Store) rows(ctx context.Context, found []router.Incident) ([]router.IncidentRow, error) {
	rows, at := make([]router.IncidentRow, len(found)), positions(found)
	for i := range found {
		rows[i].Incident = found[i]
	}
	if len(found) == 0 {
		return rows, nil
	}
	these, numbers := listed(found)
	theirs, err := worstFirst(shownAlerts(ctx, s.read, `incident IN `+these, numbers...))
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	for _, a := range theirs {
		rows[at[a.Incident]].Alerts = append(rows[at[a.Incident]].Alerts, a)
	}
	marks, err := all(ctx, s.read,
		`SELECT incident, id, notifier, kind, state, failing_since, last_error FROM deliveries WHERE incident IN `+
			these+` ORDER BY incident, notifier, id`, numbers, func(row scanner) (m router.DeliveryMark, err error) {
			var failing int64
			err = row.Scan(&m.Incident, &m.ID, &m.Notifier, &m.Kind, &m.State, &failing, &m.Error)
			m.Failing = fromMicros(failing)
			return m, err
		})
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	for _, m := range marks {
		rows[at[m.Incident]].Deliveries = append(rows[at[m.Incident]].Deliveries, m)
	}
	return rows, nil
}

// details adds to incidents their alerts, deliveries and timelines.
func (s *Store) details(ctx context.Context, found []router.Incident) ([]router.IncidentDetail, error) {
	out, at := make([]router.IncidentDetail, len(found)), positions(found)
	for i := range found {
		out[i].Incident = found[i]
	}
	if len(found) == 0 {
		return out, nil
	}
	these, numbers := listed(found)
	theirs, err := worstFirst(shownAlerts(ctx, s.read, `incident IN `+these, slices.Clone(numbers)...))
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	for _, a := range theirs {
		out[at[a.Incident]].Alerts = append(out[at[a.Incident]].Alerts, a)
	}
	owed, err := deliveries(ctx, s.read, `incident IN `+these+` ORDER BY incident, notifier, id`, slices.Clone(numbers)...)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	for _, d := range owed {
		out[at[d.Incident]].Deliveries = append(out[at[d.Incident]].Deliveries, d)
	}
	entries, err := all(ctx, s.read, `SELECT incident, n, at, recorded_at, kind, text, event FROM (
		SELECT t.*, row_number() OVER (PARTITION BY incident ORDER BY n DESC) AS newest FROM timeline t WHERE incident IN `+
		these+`) AS numbered
		WHERE newest <= ? ORDER BY incident, n`, append(numbers, maxList), scanEntry)
	if err != nil {
		return nil, fmt.Errorf("read timeline: %w", err)
	}
	for _, e := range entries {
		out[at[e.Incident]].Timeline = append(out[at[e.Incident]].Timeline, e)
	}
	return out, nil
}

// positions returns where each incident of a list is, by its number.
func positions(found []router.Incident) map[int64]int {
	at := make(map[int64]int, len(found))
	for i := range found {
		at[found[i].Number] = i
	}
	return at
}

// listed returns a list of parameters and the numbers for it, the last repeated up to a power of two, so that there are
// few statements to prepare.
func listed(found []router.Incident) (these string, numbers []any) {
	for i := range found {
		numbers = append(numbers, found[i].Number)
	}
	for n := len(numbers); n&(n-1) != 0; n++ {
		numbers = append(numbers, numbers[len(numbers)-1])
	}
	return `(?` + strings.Repeat(", ?", len(numbers)-1) + `)`, numbers
}

// troubled are the incidents of which not everybody was told, some more than once; 0 stands for notices. As UNION it
// made SQLite go through all deliveries, by their incidents, to have the numbers in order.
const troubled = `SELECT incident FROM deliveries WHERE state = 'parked'
	UNION ALL SELECT incident FROM deliveries WHERE state = 'waiting' AND failing_since > 0`

// The places of incidents that are over in the order of what is worst: those that are not have lower ones.
const placeTroubled, placeOver = 200, 210

// place is where an incident stands in that order: lower is worse.
const place = `CASE WHEN state = 'resolved' THEN CASE WHEN number IN (` + troubled + `) THEN 200 ELSE 210 END
	ELSE CASE state WHEN 'open' THEN 0 ELSE 100 END + CASE WHEN number IN (` + troubled +
	`) THEN 0 ELSE 10 END + 4 - severity END`

// find returns the incidents that pass a filter, in its order.
func (s *Store) find(ctx context.Context, f *router.IncidentFilter) ([]router.Incident, error) {
	if f.Worst {
		found, _, err := s.findWorst(ctx, f, 0)
		return found, err
	}
	c := s.conditions(f)
	if f.Before > 0 {
		c.add("number < ?", f.Before)
	}
	return shownIncidents(ctx, s.read, c.where()+` ORDER BY number DESC LIMIT ?`, append(c.args, limited(f.Limit))...)
}

// findWorst returns those that pass a filter, the worst first. Where scan is not 0, it looks among so many numbers of
// those that are over, and returns the lowest of them.
func (s *Store) findWorst(ctx context.Context, f *router.IncidentFilter,
	scan int64) (found []router.Incident, lowest int64, err error) {
	begin, end := int64(-1), int64(math.MaxInt64)
	switch {
	case f.Below > 0:
		begin, end = placeOver, f.Below
	case f.Before > 0:
		begin, err = number(ctx, s.read, `SELECT `+place+` FROM incidents WHERE number = ?`, f.Before)
		if errors.Is(err, sql.ErrNoRows) {
			err = router.ErrNotFound
		}
		if begin == placeOver {
			end = f.Before
		}
	}
	if err == nil && scan > 0 {
		if end == math.MaxInt64 {
			end, err = number(ctx, s.read, `SELECT coalesce(max(number), 0) + 1 FROM incidents`)
		}
		lowest = max(end-scan, 0)
	}
	if err != nil {
		return nil, 0, err
	}
	c, limit := s.conditions(f), limited(f.Limit)
	for _, part := range worstParts(f, begin, lowest, end) {
		if len(found) == limit {
			break
		}
		of := conditions{parts: slices.Concat(c.parts, part.parts), args: slices.Concat(c.args, part.args)}
		more, err := shownIncidents(ctx, s.read, of.where()+part.order+` LIMIT ?`, append(of.args, limit-len(found))...)
		if err != nil {
			return nil, 0, err
		}
		found = append(found, more...)
	}
	return found, lowest, nil
}

// worstPart is a part of the list in the order of what is worst.
type worstPart struct {
	conditions
	order string
}

// worstParts are what the list consists of, in order, from a place on: the few that are not over, the few of the others
// of which not everybody was told, and the rest, which is long and never sorted: of that, the numbers from lowest on
// and below end.
func worstParts(f *router.IncidentFilter, begin, lowest, end int64) (parts []worstPart) {
	standing := worstPart{order: ` ORDER BY ` + place + `, number DESC`}
	standing.add("state <> 'resolved'")
	if begin >= 0 {
		standing.add(`(`+place+` > ? OR `+place+` = ? AND number < ?)`, begin, begin, f.Before)
	}
	if begin < placeTroubled && f.State != router.IncidentResolved {
		parts = append(parts, standing)
	}
	if f.Active || f.State == router.IncidentOpen || f.State == router.IncidentAcknowledged {
		return parts
	}
	if begin <= placeTroubled {
		// Not in the order of an index: PostgreSQL would go through all incidents by it to find the few.
		part := worstPart{order: ` ORDER BY number + 0 DESC`}
		part.add("state = 'resolved'")
		part.add("number IN (" + troubled + ")")
		if begin == placeTroubled {
			part.add("number < ?", f.Before)
		}
		parts = append(parts, part)
	}
	over := worstPart{order: ` ORDER BY number DESC`}
	over.add("state = 'resolved'")
	over.add("number NOT IN (" + troubled + ")")
	if lowest > 0 {
		over.add("number >= ?", lowest)
	}
	if end < math.MaxInt64 {
		over.add("number < ?", end)
	}
	return append(parts, over)
}

// conditions are joined by AND.
type conditions struct {
	parts []string
	args  []any
}

func (c *conditions) add(part string, args ...any) {
	c.parts, c.args = append(c.parts, part), append(c.args, args...)
}

// anyOf adds that a column has one of some values; of none, that nothing fits.
func anyOf[T any](c *conditions, column string, values []T) {
	if len(values) == 0 {
		c.add("1 = 0")
		return
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	c.add(column+` IN (?`+strings.Repeat(", ?", len(values)-1)+`)`, args...)
}

func (c *conditions) where() string {
	if len(c.parts) == 0 {
		return "1 = 1"
	}
	return strings.Join(c.parts, " AND ")
}

// conditions are what a filter asks of an incident.
func (s *Store) conditions(f *router.IncidentFilter) *conditions {
	c := &conditions{}
	if f.State != "" {
		c.add("state = ?", string(f.State))
	}
	if f.Active || f.State == router.IncidentOpen || f.State == router.IncidentAcknowledged {
		c.add("state <> 'resolved' AND number > 0") // for the index of the few, incidents_standing
	}
	if f.Severities != nil {
		values := make([]int64, len(f.Severities))
		for i, severity := range f.Severities {
			values[i] = int64(severity)
		}
		anyOf(c, "severity", values)
	}
	if f.Flow != "" {
		c.add("flow = ?", f.Flow)
	}
	switch {
	case f.WABA != "" && f.Flow != "":
		c.add("waba || '' = ?", f.WABA) // not by its index: an account has many incidents, and a flow few
	case f.WABA != "":
		c.add("waba = ?", f.WABA)
	}
	if f.Signals != nil {
		anyOf(c, "event", f.Signals)
	}
	s.ofSubject(c, f)
	for _, name := range slices.Sorted(maps.Keys(f.Labels)) {
		c.add(s.d.position+"(labels, ?) > 0", labelLine(name, f.Labels[name]))
	}
	if f.Notifier != "" {
		c.add("EXISTS (SELECT 1 FROM deliveries d WHERE d.incident = incidents.number AND d.notifier = ?)", f.Notifier)
	}
	if f.Rule != "" {
		c.add("rule = ?", f.Rule)
	}
	if !f.From.IsZero() {
		c.add("opened_at >= ?", micros(f.From))
	}
	if !f.To.IsZero() {
		c.add("opened_at < ?", micros(f.To))
	}
	if f.Silenced != nil {
		c.add("silenced = ?", toInt(*f.Silenced))
	}
	if f.Trouble != nil {
		c.add("number " + map[bool]string{true: "IN (", false: "NOT IN ("}[*f.Trouble] + troubled + ")")
	}
	s.asked(c, f.Query)
	return c
}

// subjectKinds are those whose key stands in the place of a flow's id.
var subjectKinds = []router.SubjectKind{router.SubjectAccount, router.SubjectPhone, router.SubjectTemplate,
	router.SubjectEntity,
	router.SubjectPayment, router.SubjectBridge}

// ofSubject adds what a filter asks of what an incident is about.
func (s *Store) ofSubject(c *conditions, f *router.IncidentFilter) {
	id := f.SubjectID
	switch {
	case f.Subject == router.SubjectFlow:
		c.add(s.d.position + "(flow, ':') = 0")
		if id != "" {
			c.add("flow = ?", id)
		}
	case f.Subject == router.SubjectAccount && id != "":
		c.add("flow = 'account:' AND waba = ?", id)
	case f.Subject != "" && id != "":
		c.add("flow = ?", router.Subject{Kind: f.Subject, ID: id}.Key())
	case f.Subject != "":
		c.add(s.d.position+"(flow, ?) = 1", string(f.Subject)+":")
	case id != "":
		keys := []string{id}
		for _, kind := range subjectKinds {
			keys = append(keys, router.Subject{Kind: kind, ID: id}.Key())
		}
		one := conditions{}
		anyOf(&one, "flow", keys)
		c.add("("+one.where()+" OR flow = 'account:' AND waba = ?)", append(one.args, id)...)
	}
}

// asked adds what a person looks for: each word must fit.
func (s *Store) asked(c *conditions, query string) {
	for _, word := range router.QueryWords(query) {
		n, named := router.ParseIncidentName(word)
		if named {
			c.add("number = ?", n)
			continue
		}
		one := conditions{}
		one.add("number = ?", n)
		lower := strings.ToLower(word)
		one.add(s.d.position+"(words, ?) > 0", lower)
		// an older version left rules and teams out of the words
		one.add(s.d.position+"(lower(rule), ?) > 0", lower)
		one.add(s.d.position+"(lower(labels), ?) > 0", "="+lower)
		one.add("flow = ?", word)
		one.add("waba = ?", word)
		anyOf(&one, "event", append(router.SignalsNamed(strings.ToUpper(word)), router.SignalsLike(word)...))
		c.add("("+strings.Join(one.parts, " OR ")+")", one.args...)
	}
}

// labels are the lines that a filter by labels looks for.
func (d *incidentDetails) labels() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(d.Labels)) {
		b.WriteString(labelLine(name, d.Labels[name]))
	}
	return b.String()
}

func labelLine(name, value string) string { return "\n" + oneLine.Replace(name+"="+value) + "\n" }

// oneLine keeps a value from looking like another label.
var oneLine = strings.NewReplacer("\\", "\\\\", "\n", "\\n")

// words is what people look for an incident by, in lower case: its names, those of its rule and its labels, and the
// levels that it reached, as its headline has them.
func (d *incidentDetails) words(event, rule string) string {
	words := []string{d.Title, d.FlowName, d.AccountName, d.NumberName, d.Subject.Name, d.Subject.ID, d.Change, rule}
	for _, name := range slices.Sorted(maps.Keys(d.Labels)) {
		words = append(words, d.Labels[name])
	}
	for _, level := range d.Path {
		words = append(words, router.Sentence(event, level))
	}
	for _, fact := range d.Facts {
		words = append(words, fact.Text)
	}
	words = slices.DeleteFunc(words, func(word string) bool { return word == "" })
	return strings.ToLower(strings.Join(words, "\n"))
}

// listsVersion is the migration that gives incidents what lists are narrowed by.
const listsVersion = 20

// fillLists fills that in for the incidents that are there.
func (d *dialect) fillLists(ctx context.Context, tx *sql.Tx) error {
	const page = 500
	type row struct {
		number      int64
		event, rule string
		details     []byte
	}
	read := func(after int64) (found []row, err error) {
		rows, err := tx.QueryContext(ctx,
			d.rebind(`SELECT number, event, rule, details FROM incidents WHERE number > ? ORDER BY number LIMIT ?`), after, page)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var r row
			if err := rows.Scan(&r.number, &r.event, &r.rule, &r.details); err != nil {
				return nil, err
			}
			found = append(found, r)
		}
		return found, rows.Err()
	}
	for after := int64(0); ; {
		found, err := read(after)
		if err != nil || len(found) == 0 {
			return err
		}
		after = found[len(found)-1].number
		for _, r := range found {
			var details incidentDetails
			if json.Unmarshal(r.details, &details) != nil {
				continue // it cannot be shown either
			}
			args := d.clean([]any{toInt(details.Silence != nil), details.labels(),
				details.words(r.event, r.rule), r.number})
			if _, err := tx.ExecContext(ctx,
				d.rebind(`UPDATE incidents SET silenced = ?, labels = ?, words = ? WHERE number = ?`), args...); err != nil {
				return err
			}
		}
	}
}

// Counts returns the numbers at the head of a list of incidents, of those that pass a filter, whatever that says of
// their states, of silences and of trouble.
func (s *Store) Counts(ctx context.Context, f router.IncidentFilter) (c router.Counts, err error) {
	ctx, cancel := s.read.bounded(ctx)
	defer cancel()
	f.State, f.Active, f.Silenced, f.Trouble = "", false, nil, nil
	of := s.conditions(&f)
	trouble := `SELECT count(DISTINCT incident) FROM (` + troubled + `) AS t WHERE incident <> 0`
	if len(of.parts) > 0 {
		trouble = `SELECT count(*) FROM incidents WHERE number IN (` + troubled + `) AND ` + of.where()
	}
	err = s.read.QueryRowContext(ctx,
		`SELECT count(CASE WHEN state = 'open' THEN 1 END), count(CASE WHEN state = 'acknowledged' THEN 1 END),
		count(CASE WHEN silenced = 1 THEN 1 END), (`+trouble+`),
		(SELECT count(*) FROM deliveries WHERE state = 'parked') FROM incidents WHERE state <> 'resolved' AND `+of.where(),
		append(slices.Clone(of.args), of.args...)...).
		Scan(&c.Open, &c.Acknowledged, &c.Silenced, &c.Trouble, &c.Parked)
	if err != nil {
		return c, fmt.Errorf("count incidents: %w", err)
	}
	return c, nil
}

// worstFirst sorts alerts that were read, or says that they were not.
func worstFirst(found []router.Alert, err error) ([]router.Alert, error) {
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	return router.WorstFirst(found), nil
}
