package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
)

// turn reads what this process is to fold; it reads nothing while another process folds.
func (s *Store) turn(ctx context.Context, read func(q querier) error) error {
	return s.peers.turn(ctx, s, read)
}

// inTurn commits what was folded since turn. It wraps router.ErrConflict if the turn has passed to another process.
func (s *Store) inTurn(ctx context.Context, f func(tx *txn) error) error {
	return s.peers.inTurn(ctx, s, f)
}

// States returns what is known of each flow: its alerts, and the incidents that are not resolved, that an alert
// belongs to or last belonged to, whose page a person reopened, or that are named. Only who folds changes them, so that
// all queries see the same.
func (s *Store) States(ctx context.Context, flows []router.FlowID,
	named []int64) (map[router.FlowID]router.State, error) {
	states := make(map[router.FlowID]router.State, len(flows))
	for _, flow := range flows {
		states[flow] = router.State{FlowID: flow}
	}
	for some := range slices.Chunk(flows, maxFlows) {
		if err := s.addStates(ctx, states, some); err != nil {
			return nil, fmt.Errorf("read flows: %w", s.d.blame(err))
		}
	}
	for some := range slices.Chunk(named, maxFlows) {
		if err := s.addNamed(ctx, states, some); err != nil {
			return nil, fmt.Errorf("read incidents: %w", s.d.blame(err))
		}
	}
	return states, nil
}

// addNamed adds incidents to the states of their flows that are not there.
func (s *Store) addNamed(ctx context.Context, states map[router.FlowID]router.State, named []int64) error {
	var numbers []any
	for _, number := range named {
		numbers = append(numbers, number)
	}
	found, err := incidents(ctx, s.read, `number IN (?`+strings.Repeat(", ?", len(numbers)-1)+`) ORDER BY number`,
		numbers...)
	for _, inc := range found {
		flow := router.FlowID{WABA: inc.WABA, Flow: inc.Flow}
		state, ok := states[flow]
		if ok && !slices.ContainsFunc(state.Incidents,
			func(known router.Incident) bool { return known.Number == inc.Number }) {
			state.Incidents = append(state.Incidents, inc)
			slices.SortFunc(state.Incidents, func(a, b router.Incident) int { return cmp.Compare(a.Number, b.Number) })
			states[flow] = state
		}
	}
	return err
}

// maxFlows bounds the flows that one query asks for.
const maxFlows = 64

func (s *Store) addStates(ctx context.Context, states map[router.FlowID]router.State, flows []router.FlowID) error {
	given := make(map[router.FlowID]router.FlowID, len(flows)) // as the database has them -> as they were asked for
	var ids []any
	for _, flow := range flows {
		ids = append(ids, flow.WABA, flow.Flow)
		stored := s.d.clean([]any{flow.WABA, flow.Flow})
		given[router.FlowID{WABA: stored[0].(string), Flow: stored[1].(string)}] = flow
	}
	// The last is repeated up to a power of two, so that there are few statements to prepare; none reads it twice.
	n := len(flows)
	for ; n&(n-1) != 0; n++ {
		ids = append(ids, ids[len(ids)-2:]...)
	}
	found, err := all(ctx, s.read, s.d.standingAlerts(n), slices.Clone(ids), scanAlert)
	if err != nil {
		return err
	}
	for _, a := range found {
		flow := given[a.FlowID]
		state := states[flow]
		state.Alerts = append(state.Alerts, a.Alert)
		states[flow] = state
	}
	where, times := s.d.standing(n)
	incidents, err := incidents(ctx, s.read, where+` ORDER BY number`, slices.Repeat(ids, times)...)
	if err != nil {
		return err
	}
	for _, inc := range incidents {
		flow := given[router.FlowID{WABA: inc.WABA, Flow: inc.Flow}]
		state := states[flow]
		state.Incidents = append(state.Incidents, inc)
		states[flow] = state
	}
	return nil
}

// flowsOf are n flows, as a table of arguments.
func flowsOf(n int) string {
	const flow = `(CAST(? AS TEXT), CAST(? AS TEXT))`
	return `VALUES ` + flow + strings.Repeat(`, `+flow, n-1)
}

// standing is the condition that the fold must know an incident of n flows, which are named so many times. Each part
// finds its numbers by an index: of the three joined by OR PostgreSQL reads every incident that ever was, and every one
// that stands unless it is asked for flow by flow.
func (d *dialect) standing(n int) (where string, times int) {
	const parts = `SELECT number FROM incidents WHERE %[1]s AND state <> 'resolved'
		UNION SELECT number FROM incidents WHERE %[1]s AND reopened = 1
		UNION SELECT incident FROM alerts WHERE %[1]s`
	if !d.peers {
		return fmt.Sprintf(`number IN (`+parts+`)`, `(waba, flow) IN (`+flowsOf(n)+`)`), 3
	}
	return fmt.Sprintf(`number IN (SELECT s.number FROM (`+flowsOf(n)+`) AS f (waba, flow)
		CROSS JOIN LATERAL (`+parts+`) AS s)`, `waba = f.waba AND flow = f.flow`), 1
}

// standingAlerts is the query of the alerts of n flows, likewise, each alert once: a fold over two copies of one moves
// them apart.
func (d *dialect) standingAlerts(n int) string {
	const order = ` ORDER BY waba, flow, event, level`
	if !d.peers {
		return readAlerts + `(waba, flow) IN (` + flowsOf(n) + `)` + order
	}
	return `SELECT ` + readAlertColumns + ` FROM (SELECT DISTINCT its_waba, its_flow FROM (` + flowsOf(n) +
		`) AS given (its_waba, its_flow)) AS f CROSS JOIN LATERAL (
		SELECT * FROM alerts WHERE waba = f.its_waba AND flow = f.its_flow OFFSET 0) AS alerts` + order
}

// LastIncident returns the highest number that an incident ever had, 0 for none.
func (s *Store) LastIncident(ctx context.Context) (n int64, err error) {
	n, err = number(ctx, s.read, `SELECT coalesce(max(number), 0) FROM incidents`)
	return n, s.d.blame(err)
}

// Commit stores what folding a batch came to and marks its events folded, whole or not at all.
func (s *Store) Commit(ctx context.Context, b router.Batch) error {
	err := s.inTurn(ctx, func(tx *txn) error {
		for _, step := range []func(context.Context, *txn, router.Batch) error{
			lockOwed, s.writeOutcomes, writeAlerts, writeIncidents, writeLinks, writeTimeline, writeReadings, s.writeNotices,
			writeSilences,
			s.writeOvertaken, s.writeOwed, s.writeAlreadyThere, s.wakeAll, postponeTimers, appendEvents,
			writeAudit, writeHits,
		} {
			if err := step(ctx, tx, b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store fold: %w", s.d.blame(err))
	}
	if names := owedTo(&b); len(names) > 0 {
		s.agenda.owed(atOnce(&b), names, micros(s.cfg.Now()))
		pulse(s.owed)
		s.peers.owed(names)
	}
	if len(b.Events) > 0 {
		s.wakeFold()
	}
	if slices.ContainsFunc(b.Outcomes, func(o router.Outcome) bool { return o.Kept != nil }) {
		pulse(s.erased)
	}
	return nil
}

// owedTo returns the notifiers whose deliveries a batch changes.
func owedTo(b *router.Batch) []string {
	names := map[string]bool{}
	for _, owed := range [][]router.Owed{b.Owed, b.AlreadyThere, b.Overtaken} {
		for i := range owed {
			names[owed[i].Target.Notifier] = true
		}
	}
	return slices.Collect(maps.Keys(names))
}

// overUnheard says that a service which pages need not hear of an end, if it has not heard of the beginning.
func overUnheard(o *router.Owed) bool { return o.Unheard && !o.Reopened && o.Ended.IsZero() }

// atOnce returns those that are owed something which waits for no time. What a page's service may never hear of is not
// known to wait at all.
func atOnce(b *router.Batch) map[string]bool {
	names := map[string]bool{}
	for i := range b.Owed {
		if o := &b.Owed[i]; !o.Cosmetic && !(overUnheard(o) && o.Target.Kind.Keyed()) {
			names[o.Target.Notifier] = true
		}
	}
	return names
}

func (s *Store) writeOutcomes(ctx context.Context, tx *txn, b router.Batch) error {
	err := each(ctx, tx, b.Outcomes, `UPDATE events SET state = ?, outcome = ? WHERE seq = ?`,
		func(o router.Outcome) ([]any, error) {
			state := router.EventFolded
			if o.Failed {
				state = router.EventFailed
			}
			return []any{string(state), o.Text, o.Seq}, nil
		})
	if err != nil {
		return err
	}
	return s.writeKept(ctx, tx, b.Outcomes)
}

// appendEvents adds to the journal what the fold itself has to say.
func appendEvents(ctx context.Context, tx *txn, b router.Batch) error {
	for i := range b.Events {
		row, err := encodeEvent(&b.Events[i])
		if err != nil {
			return err
		}
		if err := insertEvent(ctx, tx, row); err != nil {
			return err
		}
	}
	return nil
}

// alertDetails is what of an alert is kept as JSON: nobody looks for it.
type alertDetails struct {
	Reading router.Reading      `json:"reading"`
	Before  *float64            `json:"before,omitempty"`
	Routes  []router.AlertRoute `json:"notify,omitempty"`
	Hold    time.Duration       `json:"hold,omitempty"`
	Heard   time.Time           `json:"heard,omitzero"`
	Facts   []router.Fact       `json:"facts,omitempty"`
	Expires time.Time           `json:"expires,omitzero"`
	Unheard time.Time           `json:"unheard,omitzero"`

	Countdown *router.Countdown `json:"countdown,omitempty"`
}

func alertColumns(a *router.FlowAlert, d *alertDetails) columns {
	return columns{
		{"waba", textAt(&a.WABA).writtenOnce()},
		{"flow", textAt(&a.Flow).writtenOnce()},
		{"event", textAt(&a.Event).writtenOnce()},
		{"level", textAt(&a.Level).writtenOnce()},
		{"active", boolAt(&a.Active)},
		{"raised_at", timeAt(&a.Raised)},
		{"cleared_at", timeAt(&a.Cleared)},
		{"since", timeAt(&a.Since)},
		{"until", timeAt(&a.Until)},
		{"held_until", timeAt(&a.HeldUntil)},
		{"opened_by", numberAt(&a.OpenedBy)},
		{"closed_by", numberAt(&a.ClosedBy)},
		{"severity", numberAt(&a.Severity)},
		{"incident", numberAt(&a.Incident)},
		{"key", textAt(&a.Key)},
		{"details", jsonAt(d)},
	}
}

var (
	readAlertColumns = alertColumns(&router.FlowAlert{}, nil).read()
	readAlerts       = `SELECT ` + readAlertColumns + ` FROM alerts WHERE `
	upsertAlert      = alertColumns(&router.FlowAlert{}, nil).upsert("alerts", "waba, flow, event, level")
)

func writeAlerts(ctx context.Context, tx *txn, b router.Batch) error {
	return each(ctx, tx, b.Alerts, upsertAlert, func(a router.FlowAlert) ([]any, error) {
		return alertColumns(&a, &alertDetails{a.Reading, a.Before, a.Routes, a.Hold, a.Heard, a.Facts, a.Expires,
			a.Unheard, a.Countdown}).args()
	})
}

// shownAlerts reads alerts by a condition, for people.
func shownAlerts(ctx context.Context, q querier, where string, args ...any) ([]router.Alert, error) {
	found, err := all(ctx, q, readAlerts+where, args, legibly(scanAlert))
	return onlyAlerts(found), err
}

// onlyAlerts leaves out whose flow they are of.
func onlyAlerts(of []router.FlowAlert) (alerts []router.Alert) {
	for i := range of {
		alerts = append(alerts, of[i].Alert)
	}
	return alerts
}

func scanAlert(row scanner) (a router.FlowAlert, err error) {
	var d alertDetails
	err = row.Scan(alertColumns(&a, &d).dests()...)
	a.Reading, a.Before, a.Routes, a.Hold, a.Heard = d.Reading, d.Before, d.Routes, d.Hold, d.Heard
	a.Facts, a.Expires, a.Unheard, a.Countdown = d.Facts, d.Expires, d.Unheard, d.Countdown
	return a, err
}

// incidentDetails is what of an incident is kept as JSON: nobody looks for it.
type incidentDetails struct {
	router.FlowInfo
	Path       []router.Level  `json:"path,omitempty"`
	Title      string          `json:"title,omitempty"`
	Text       string          `json:"text,omitempty"`
	Fields     []router.Field  `json:"fields,omitempty"`
	Watch      []router.Watch  `json:"watch,omitempty"`
	Flaps      int64           `json:"flaps,omitempty"`
	Owner      string          `json:"owner,omitempty"`
	AckedBy    int64           `json:"acknowledged_event,omitempty"`
	AckedIn    router.Page     `json:"acknowledged_in,omitzero"`
	Acts       router.ActTimes `json:"acts,omitzero"`
	Reopened   router.Page     `json:"reopened,omitzero"`
	First      bool            `json:"first,omitempty"`
	Since      time.Time       `json:"since,omitzero"`
	ByItself   string          `json:"by_itself,omitempty"`
	NoteAuto   bool            `json:"note_auto_resolve,omitempty"`
	AckedFor   time.Duration   `json:"acknowledged_for,omitempty"`
	Links      []router.Link   `json:"links,omitempty"`
	Pageable   []string        `json:"pageable,omitempty"`
	PageOnRise bool            `json:"page_on_rise,omitempty"`
	Silence    *router.Silence `json:"silence,omitempty"`
	Subject    router.Subject  `json:"subject,omitzero"`
	Change     string          `json:"change,omitempty"`
	Facts      []router.Fact   `json:"facts,omitempty"`
}

func incidentColumns(i *router.Incident, d *incidentDetails) columns {
	return columns{
		{"number", numberAt(&i.Number).writtenOnce()},
		{"key", textAt(&i.Key).writtenOnce()},
		{"waba", textAt(&i.WABA).writtenOnce()},
		{"flow", textAt(&i.Flow).writtenOnce()},
		{"event", textAt(&i.Event).writtenOnce()},
		{"state", textAt(&i.State)},
		{"severity", numberAt(&i.Severity)},
		{"peak", numberAt(&i.Peak)},
		{"rule", textAt(&i.Rule).writtenOnce()},
		{"events", numberAt(&i.Events)},
		{"revision", numberAt(&i.Revision)},
		{"entries", numberAt(&i.Entries)},
		{"opened_at", timeAt(&i.OpenedAt).writtenOnce()},
		{"resolved_at", timeAt(&i.ResolvedAt)},
		{"resolved_by", textAt(&i.ResolvedBy)},
		{"acknowledged_at", timeAt(&i.AcknowledgedAt)},
		{"acknowledged_by", textAt(&i.AcknowledgedBy)},
		{"wake_at", timeAt(&i.Wake)},
		{"details", jsonAt(d)},
		{"reopened", derived(func() any { return toInt(i.Reopened != router.Page{}) })},
		{"silenced", derived(func() any { return toInt(d.Silence != nil) })},
		{"labels", derived(func() any { return d.labels() })},
		{"words", derived(func() any { return d.words(i.Event, i.Rule) })},
		{"rules", textAt(&i.RulesVersion).writtenOnce()},
	}
}

var (
	readIncidents  = `SELECT ` + incidentColumns(&router.Incident{}, nil).read() + ` FROM incidents WHERE `
	upsertIncident = incidentColumns(&router.Incident{}, nil).upsert("incidents", "number")
)

func writeIncidents(ctx context.Context, tx *txn, b router.Batch) error {
	return each(ctx, tx, b.Incidents, upsertIncident, func(i router.Incident) ([]any, error) {
		return incidentColumns(&i, detailsOf(&i)).args()
	})
}

func detailsOf(i *router.Incident) *incidentDetails {
	d := incidentDetails{FlowInfo: i.FlowInfo, Path: i.Path, Title: i.Title, Text: i.Text, Fields: i.Fields,
		Watch: i.Watch,
		Flaps: i.Flaps, Owner: i.Owner, AckedBy: i.AcknowledgedEvent, AckedIn: i.AcknowledgedIn, Acts: i.Acts,
		Reopened: i.Reopened, First: i.First, Since: i.Since, ByItself: i.ByItself, NoteAuto: i.NoteAutoResolve,
		AckedFor: i.AcknowledgedFor, Links: i.Links, Pageable: i.Pageable, PageOnRise: i.PageOnRise,
		Subject: i.Subject, Change: i.Change, Facts: i.Facts}
	if i.Silence.ID != "" {
		d.Silence = &i.Silence
	}
	return &d
}

// fill puts them back.
func (d *incidentDetails) fill(i *router.Incident) {
	i.FlowInfo, i.Path, i.Title, i.Text, i.Fields, i.Watch, i.Flaps = d.FlowInfo, d.Path, d.Title, d.Text, d.Fields,
		d.Watch, d.Flaps
	i.Owner, i.AcknowledgedEvent, i.AcknowledgedIn, i.Acts = d.Owner, d.AckedBy, d.AckedIn, d.Acts
	i.Reopened, i.First, i.Since, i.ByItself, i.NoteAutoResolve = d.Reopened, d.First, d.Since, d.ByItself, d.NoteAuto
	i.AcknowledgedFor, i.Links, i.Pageable, i.PageOnRise = d.AckedFor, d.Links, d.Pageable, d.PageOnRise
	i.Subject, i.Change, i.Facts = d.Subject, d.Change, d.Facts
	if d.Silence != nil {
		i.Silence = *d.Silence
	}
}

// incidents reads incidents by a condition, for the fold.
func incidents(ctx context.Context, q querier, where string, args ...any) ([]router.Incident, error) {
	return all(ctx, q, readIncidents+where, args, scanIncident)
}

// shownIncidents reads them for people.
func shownIncidents(ctx context.Context, q querier, where string, args ...any) ([]router.Incident, error) {
	return all(ctx, q, readIncidents+where, args, legibly(scanIncident))
}

func scanIncident(row scanner) (i router.Incident, err error) {
	var d incidentDetails
	err = row.Scan(incidentColumns(&i, &d).dests()...)
	d.fill(&i)
	return i, err
}

func writeTimeline(ctx context.Context, tx *txn, b router.Batch) error {
	const query = `INSERT INTO timeline (incident, n, at, recorded_at, kind, text, event) VALUES (?, ?, ?, ?, ?, ?, ?)`
	return each(ctx, tx, b.Entries, query, func(e router.Entry) ([]any, error) {
		return []any{e.Incident, e.N, micros(e.At), micros(e.Recorded), string(e.Kind), e.Text, e.Event}, nil
	})
}

// newestQuery reads the newest entries of an incident after a position, newest first.
const newestQuery = `SELECT incident, n, at, recorded_at, kind, text, event FROM timeline
	WHERE incident = ? AND n > ? ORDER BY n DESC LIMIT ?`

func scanEntry(row scanner) (e router.Entry, err error) {
	var at, recorded int64
	err = row.Scan(&e.Incident, &e.N, &at, &recorded, &e.Kind, &e.Text, &e.Event)
	e.At, e.Recorded = fromMicros(at), fromMicros(recorded)
	return e, err
}

func (s *Store) writeNotices(ctx context.Context, tx *txn, b router.Batch) error {
	now := micros(s.cfg.Now())
	return each(ctx, tx, b.Notices, `INSERT INTO notices (event, folded_at, body) VALUES (?, ?, ?)`,
		func(n router.Notice) ([]any, error) {
			body, err := json.Marshal(n)
			return []any{n.Event, now, string(body)}, err
		})
}

// writeOwed makes the deliveries wait for a higher revision. One that is in back-off keeps its time; one that
// was done, given up or parked is due now. New numbers alone wait until it was told router.CosmeticEvery ago; whatever
// else comes meanwhile is due at once. What is pinned to a delivery stays. A page that is over before its service has
// heard of it waits for nothing: in a storm there are thousands, and each is a claim.
func (s *Store) writeOwed(ctx context.Context, tx *txn, b router.Batch) error {
	query := `INSERT INTO deliveries (incident, event, notifier, key, kind, keyed, channel, routing_key, target,
			open, opening, severity, next_at, updated_at, owed_since, class, cosmetic, state, have)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (incident, event, notifier) DO UPDATE SET owed = deliveries.owed + 1, open = excluded.open,
		opening = CASE WHEN excluded.opening > 0 THEN excluded.opening ELSE deliveries.opening END,
		severity = excluded.severity, updated_at = excluded.updated_at,
		attempts = CASE WHEN deliveries.state = 'waiting' AND NOT ` + unheard + ` THEN deliveries.attempts ELSE 0 END,
		failing_since = CASE WHEN ` + unheard + ` THEN 0 ELSE deliveries.failing_since END,
		last_error = CASE WHEN ` + unheard + ` THEN '' ELSE deliveries.last_error END,
		have = CASE WHEN ` + unheard + ` THEN deliveries.owed + 1 ELSE deliveries.have END,
		next_at = ` + nextAt + `,
		cosmetic = excluded.cosmetic * CASE WHEN deliveries.state = 'waiting' THEN deliveries.cosmetic ELSE 1 END,
		owed_since = CASE WHEN deliveries.state = 'waiting' THEN deliveries.owed_since ELSE excluded.owed_since END,
		class = ` + classSQL("excluded.", "deliveries.", "deliveries.") + `,
		state = CASE WHEN ` + unheard + ` THEN 'cancelled' ELSE 'waiting' END`
	now := micros(s.cfg.Now())
	err := each(ctx, tx, b.Owed, query, func(o router.Owed) ([]any, error) {
		t, state, have := o.Target, router.DeliveryWaiting, 0
		over := overUnheard(&o)
		if over && t.Kind.Keyed() {
			state, have = router.DeliveryCancelled, 1
		}
		return []any{o.Incident, o.Event(), t.Notifier, o.Key, string(t.Kind), toInt(t.Kind.Keyed()), s.sealedAddress(&t),
			s.sealed(t.Credential), t.ID(), toInt(o.Open), o.Opening, int64(o.Severity),
			now, now, now, int64(firstClass(&o)), toInt(o.Cosmetic), string(state), have, toInt(over), toInt(over), toInt(over),
			toInt(over), toInt(over)}, nil
	})
	if err != nil {
		return err
	}
	return lift(ctx, tx, b.Owed)
}

// unheard is the condition that a page which is over, as the argument says, waits for a service that has certainly
// heard nothing of it.
const unheard = `(` + integer + ` = 1 AND deliveries.keyed = 1 AND deliveries.state = 'waiting' AND deliveries.told = 0
	AND deliveries.may_exist = 0 AND deliveries.was_parked = 0)`

// mayWait is how long what became owed of a delivery while it was told may wait: its column cosmetic says what that is.
var mayWait = fmt.Sprintf(`CASE cosmetic WHEN 1 THEN %d WHEN 2 THEN %d ELSE 0 END`, router.CosmeticEvery.Microseconds(),
	router.LinkAfter.Microseconds())

// nextAt is when a delivery of which more is owed is tried next. One that waits without having failed waits for nothing
// but CosmeticEvery to pass. A time of telling that is yet to come was written while a clock was wrong.
var nextAt = fmt.Sprintf(`CASE
	WHEN deliveries.state = 'waiting'
		AND (excluded.cosmetic = 1 OR deliveries.last_error <> '' OR deliveries.next_at <= excluded.next_at)
		THEN deliveries.next_at
	WHEN deliveries.state = 'delivered' AND excluded.cosmetic = 1 AND deliveries.told_at <= excluded.next_at
		AND deliveries.told_at + %[1]d > excluded.next_at THEN deliveries.told_at + %[1]d
	ELSE excluded.next_at END`, router.CosmeticEvery.Microseconds())
