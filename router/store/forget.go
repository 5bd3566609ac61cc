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

const (
	// forgetPage is how many rows are looked through at a time.
	forgetPage = 200
	// forgetRounds bounds how often all is looked through: what was being folded meanwhile may bring a name back.
	forgetRounds = 3
	// forgetWait is how long events that wait to be folded are waited for.
	forgetWait = 2 * time.Second
)

// Forget blanks what is held of a person, everywhere, and says what it was. Digests stay, so that a repeat stays a
// repeat. It works in small transactions, and what it has blanked when ctx ends stays so; it may be called again.
func (s *Store) Forget(ctx context.Context, p router.Person) (found router.Found, err error) {
	if err := s.awaitFold(ctx); err != nil {
		return found, fmt.Errorf("forget: %w", err)
	}
	f := forgetting{s: s, p: p, found: &found, told: map[about]bool{}}
	for range forgetRounds {
		before := found.ForgottenCount
		if err = f.round(ctx); err != nil || found.ForgottenCount == before {
			break
		}
	}
	if err == nil {
		err = f.listTold(ctx)
	}
	if err == nil {
		err = f.forgetPseudonyms(ctx)
	}
	pulse(s.erased)
	if err != nil {
		return found, fmt.Errorf("forget: %w", s.d.blame(err))
	}
	s.awaitErased(ctx)
	return found, nil
}

// awaitFold waits until the events that wait now are folded: what is made of them is looked through then. Not for long:
// those that still wait are blanked as they are.
func (s *Store) awaitFold(ctx context.Context) error {
	const waits = `SELECT coalesce(min(seq), 0) FROM events WHERE state = 'waiting' AND state <> 'folded'`
	if err := s.settle(ctx); err != nil {
		return err
	}
	last, err := number(ctx, s.read, `SELECT coalesce(max(seq), 0) FROM events`)
	for deadline := time.Now().Add(forgetWait); err == nil && time.Now().Before(deadline); {
		head, failed := number(ctx, s.read, waits)
		if failed != nil || head == 0 || head > last {
			return failed
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return err
}

// about is what a message was about: an incident, or the event of a notice.
type about struct{ incident, event int64 }

// forgetting is the state of one Forget call.
type forgetting struct {
	s     *Store
	p     router.Person
	own   map[int64]bool // events that are known to be of the person
	found *router.Found
	told  map[about]bool
}

// held is a table with rows that may name a person.
type held struct {
	count      *int64
	table, key string
	columns    []string // that are looked through
	also       string   // what else is set in a row that changes
	// forget takes the person out of the columns of a row; nil says that there was nothing to take.
	forget func(id int64, columns []string) []string
}

func (f *forgetting) tables() []held {
	n := &f.found.ForgottenCount
	return []held{
		{&n.Events, "events", "seq", []string{"outcome", "body"}, ", reduced = CASE WHEN reduced = 0 THEN 1 ELSE reduced END",
			f.event},
		{&n.Notices, "notices", "event", []string{"body"}, "", f.notice},
		{&n.Incidents, "incidents", "number",
			[]string{"acknowledged_by", "resolved_by", "event", "rule", "words", "details"}, "", f.incident},
		{&n.Deliveries, "deliveries", "id", []string{"last_error"}, "", f.text},
		{&n.Postponed, "postponed", "id", []string{"body"}, "", f.postponed},
		{&n.Audit, "audit", "id", []string{"who", "what"}, "", f.text},
	}
}

func (f *forgetting) round(ctx context.Context) error {
	if err := f.findOwn(ctx); err != nil {
		return err
	}
	for _, h := range f.tables() {
		if err := f.through(ctx, &h); err != nil {
			return err
		}
	}
	if err := f.timeline(ctx); err != nil {
		return err
	}
	if err := f.attempts(ctx); err != nil {
		return err
	}
	return f.silences(ctx)
}

// findOwn learns which events are of the person though what is kept of them does not say so.
func (f *forgetting) findOwn(ctx context.Context) error {
	f.own = map[int64]bool{}
	for _, id := range f.p.IDs() {
		events, err := all(ctx, f.s.read, `SELECT event FROM people WHERE person = ?`, []any{f.s.pseudonym(id)},
			func(row scanner) (seq int64, err error) {
				err = row.Scan(&seq)
				return seq, err
			})
		if err != nil {
			return err
		}
		for _, seq := range events {
			f.own[seq] = true
		}
	}
	return nil
}

// forgetPseudonyms removes what the person was found by.
func (f *forgetting) forgetPseudonyms(ctx context.Context) error {
	return f.s.remove(ctx, func(tx *txn) error {
		return each(ctx, tx, f.p.IDs(), `DELETE FROM people WHERE person = ?`,
			func(id string) ([]any, error) { return []any{f.s.pseudonym(id)}, nil })
	})
}

// row is a row that was read.
type row struct {
	id      int64
	columns []string
}

func (h *held) scan(r scanner) (out row, err error) {
	out.columns = make([]string, len(h.columns))
	into := []any{&out.id}
	for i := range out.columns {
		into = append(into, &out.columns[i])
	}
	err = r.Scan(into...)
	return out, err
}

// through looks through a table, and changes the rows that name the person, each as it is by then.
func (f *forgetting) through(ctx context.Context, h *held) error {
	read := `SELECT ` + h.key + `, ` + strings.Join(h.columns, ", ") + ` FROM ` + h.table + ` WHERE ` + h.key
	for last := int64(-1); ; {
		page, err := all(ctx, f.s.read, read+` > ? ORDER BY `+h.key+` LIMIT ?`, []any{last, forgetPage}, h.scan)
		if err != nil || len(page) == 0 {
			return err
		}
		last = page[len(page)-1].id
		page = slices.DeleteFunc(page, func(r row) bool { return h.forget(r.id, r.columns) == nil })
		if len(page) == 0 {
			continue
		}
		err = f.s.remove(ctx, func(tx *txn) error {
			for _, r := range page {
				rows, err := all(ctx, tx, read+` = ?`+f.s.d.forUpdate, []any{r.id}, h.scan)
				if err == nil && len(rows) > 0 {
					err = f.write(ctx, tx, h, rows[0])
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

func (f *forgetting) write(ctx context.Context, tx *txn, h *held, r row) error {
	changed := h.forget(r.id, r.columns)
	if changed == nil {
		return nil
	}
	var args []any
	for _, column := range changed {
		args = append(args, column)
	}
	_, err := tx.ExecContext(ctx, `UPDATE `+h.table+` SET `+strings.Join(h.columns, " = ?, ")+` = ?`+h.also+` WHERE `+
		h.key+` = ?`, append(args, r.id)...)
	*h.count++
	return err
}

// names says quickly that JSON does not name the person; if it says that it may, it is to be decoded.
func (f *forgetting) names(text string) bool {
	return strings.Contains(text, `\`) || strings.Contains(text, `"raw":`) || f.p.In(text)
}

func (f *forgetting) event(seq int64, columns []string) []string {
	outcome, body := columns[0], columns[1]
	var e router.Event
	if !f.own[seq] && !f.names(body) && !f.p.In(outcome) {
		return nil
	}
	if json.Unmarshal([]byte(body), &e) != nil {
		return f.illegible(about{event: seq}, columns)
	}
	found := f.p.ForgetEvent(&e, f.own[seq] && e.Reduced != router.ReducedOld)
	if f.p.In(outcome) {
		outcome, found = router.Forgotten, true
	}
	if !found {
		return nil
	}
	f.told[about{event: seq}] = true
	return encoded(e, outcome)
}

// encoded returns the columns of a row that ends with JSON; nil where that cannot be written.
func encoded(v any, before ...string) []string {
	body, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return append(before, string(body))
}

func (f *forgetting) notice(event int64, columns []string) []string {
	var n router.Notice
	if !f.own[event] && !f.names(columns[0]) {
		return nil
	}
	if json.Unmarshal([]byte(columns[0]), &n) != nil {
		return f.illegible(about{event: event}, columns)
	}
	if !f.p.ForgetNotice(&n, f.own[event]) {
		return nil
	}
	f.told[about{event: event}] = true
	return encoded(n)
}

func (f *forgetting) incident(number int64, columns []string) []string {
	var d incidentDetails
	if json.Unmarshal([]byte(columns[5]), &d) != nil {
		return f.illegible(about{incident: number}, columns)
	}
	inc := router.Incident{AcknowledgedBy: columns[0], ResolvedBy: columns[1], Owner: d.Owner, ByItself: d.ByItself,
		Title: d.Title, Text: d.Text, Fields: d.Fields}
	if d.Silence != nil {
		inc.Silence = *d.Silence
	}
	if !f.p.ForgetIncident(&inc) {
		return nil
	}
	f.told[about{incident: number}] = true
	d.Owner, d.ByItself, d.Title, d.Text, d.Fields = inc.Owner, inc.ByItself, inc.Title, inc.Text, inc.Fields
	if d.Silence != nil {
		d.Silence = &inc.Silence
	}
	event, rule := columns[2], columns[3]
	return encoded(d, inc.AcknowledgedBy, inc.ResolvedBy, event, rule, d.words(event, rule))
}

// text blanks columns of plain text that name the person.
func (f *forgetting) text(_ int64, columns []string) (changed []string) {
	if !slices.ContainsFunc(columns, f.p.In) {
		return nil
	}
	for _, column := range columns {
		if f.p.In(column) {
			column = router.Forgotten
		}
		changed = append(changed, column)
	}
	return changed
}

// illegible blanks columns of a row whose JSON, its last column, cannot be read: those that name the person, and all
// that is said where the event is known to be of the person. It cannot be read afterwards either.
func (f *forgetting) illegible(row about, columns []string) []string {
	changed := f.text(0, columns)
	if last := len(columns) - 1; f.own[row.event] && columns[last] != router.Forgotten {
		if changed == nil {
			changed = slices.Clone(columns)
		}
		changed[last] = router.Forgotten
	}
	if changed != nil {
		f.told[row] = true
	}
	return changed
}

func (f *forgetting) postponed(_ int64, columns []string) []string {
	var events []router.Event
	if json.Unmarshal([]byte(columns[0]), &events) != nil {
		return f.text(0, columns)
	}
	found := false
	for i := range events {
		found = f.p.ForgetEvent(&events[i], false) || found
	}
	if !found {
		return nil
	}
	return encoded(events)
}

// timeline goes through the entries of all incidents.
func (f *forgetting) timeline(ctx context.Context) error {
	type entry struct {
		incident, n int64
		text        string
	}
	for last := (entry{incident: -1}); ; {
		page, err := all(ctx, f.s.read,
			`SELECT incident, n, text FROM timeline WHERE (incident, n) > (?, ?) ORDER BY incident, n LIMIT ?`,
			[]any{last.incident, last.n, forgetPage}, func(row scanner) (e entry, err error) {
				err = row.Scan(&e.incident, &e.n, &e.text)
				return e, err
			})
		if err != nil || len(page) == 0 {
			return err
		}
		last = page[len(page)-1]
		page = slices.DeleteFunc(page, func(e entry) bool { return !f.p.In(e.text) })
		if len(page) == 0 {
			continue
		}
		err = f.s.remove(ctx, func(tx *txn) error {
			return each(ctx, tx, page, `UPDATE timeline SET text = ? WHERE incident = ? AND n = ?`,
				func(e entry) ([]any, error) {
					return []any{router.Forgotten, e.incident, e.n}, nil
				})
		})
		if err != nil {
			return err
		}
		for _, e := range page {
			f.told[about{incident: e.incident}] = true
		}
		f.found.Timeline += int64(len(page))
	}
}

// illegibleSilences blanks those that cannot be read.
func (f *forgetting) illegibleSilences(ctx context.Context) error {
	type silence struct{ id, body string }
	found, err := all(ctx, f.s.read, `SELECT id, body FROM silences`, nil, func(row scanner) (s silence, err error) {
		err = row.Scan(&s.id, &s.body)
		return s, err
	})
	found = slices.DeleteFunc(found, func(s silence) bool {
		return !f.p.In(s.body) || json.Unmarshal([]byte(s.body), new(router.Silence)) == nil
	})
	if err != nil || len(found) == 0 {
		return err
	}
	f.found.Silences += int64(len(found))
	return f.s.remove(ctx, func(tx *txn) error {
		return each(ctx, tx, found, `UPDATE silences SET body = ? WHERE id = ?`,
			func(s silence) ([]any, error) { return []any{router.Forgotten, s.id}, nil })
	})
}

// silences goes through all of them: people make few. Each is changed as it is by then: one that has ended since must
// not hold again.
func (f *forgetting) silences(ctx context.Context) error {
	if err := f.illegibleSilences(ctx); err != nil {
		return err
	}
	found, err := silencesOf(ctx, f.s.read, `1 = 1`)
	if err != nil || len(f.namedIn(found)) == 0 {
		return err
	}
	n := 0
	err = f.s.remove(ctx, func(tx *txn) error {
		now, err := silencesOf(ctx, tx, `1 = 1 ORDER BY id`+f.s.d.forUpdate)
		if err != nil {
			return err
		}
		now = f.namedIn(now)
		n = len(now)
		return writeSilences(ctx, tx, router.Batch{Silences: now})
	})
	f.found.Silences += int64(n)
	return err
}

// namedIn returns those of some silences that name the person, without them.
func (f *forgetting) namedIn(all []router.Silence) (named []router.Silence) {
	for _, silence := range all {
		if f.p.ForgetSilence(&silence) {
			named = append(named, silence)
		}
	}
	return named
}

// listTold lists the messages that services have about the person.
func (f *forgetting) listTold(ctx context.Context) error {
	abouts := slices.SortedFunc(maps.Keys(f.told), func(a, b about) int {
		return cmp.Or(cmp.Compare(b.incident, a.incident), cmp.Compare(b.event, a.event))
	})
	for _, a := range abouts {
		where, args := `incident = 0 AND event = ?`, []any{a.event}
		if a.incident > 0 {
			where, args = `incident = ?`, []any{a.incident}
		}
		sent, err := deliveries(ctx, f.s.read, where+` AND told > 0 ORDER BY notifier`, args...)
		if err != nil {
			return err
		}
		for _, d := range sent {
			if len(f.found.Told) == router.MaxTold {
				return nil
			}
			f.found.Told = append(f.found.Told, router.Told{Notifier: d.Notifier, Kind: d.Kind, Incident: d.Incident,
				Event: d.Event, Link: d.Receipt.Link})
		}
	}
	return nil
}
