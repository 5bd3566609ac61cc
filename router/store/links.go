package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"flowbridge/router"
)

// maxPlaces bounds how many places one answer names; maxKeys how many keys one question does.
const (
	maxPlaces = 100
	maxKeys   = 100
)

const placeColumns = `d.incident, i.waba, i.flow, i.state, i.opened_at, i.acknowledged_by,
	d.notifier, d.key, d.routing_key,
	CASE WHEN d.tried_since > 0 THEN d.tried_since WHEN d.may_exist = 1 THEN i.opened_at ELSE 0 END,
	CASE WHEN d.told_open = 1 AND (d.open = 1 OR d.state <> 'waiting') THEN 1 ELSE 0 END,
	coalesce(l.id, ''), coalesce(l.number, 0), coalesce(l.url, ''), coalesce(l.service, ''),
	coalesce(l.stale, 0)`

const placeTables = `deliveries d JOIN incidents i ON i.number = d.incident
	LEFT JOIN links l ON l.incident = d.incident AND l.notifier = d.notifier AND l.key = d.key`

// linkedQuery begins with what has the id, whatever PostgreSQL knows of the tables.
const linkedQuery = `WITH l AS MATERIALIZED (SELECT id, incident, notifier, key, number, url, service, stale FROM links WHERE id = ?)
	SELECT ` + placeColumns + ` FROM l JOIN incidents i ON i.number = l.incident JOIN deliveries d
		ON d.incident = l.incident AND d.notifier = l.notifier AND d.key = l.key AND d.keyed + 0 = 1 AND d.kind = ?
	ORDER BY d.id DESC LIMIT ?`

// PlacesByLink returns the places that the service of a kind calls by an id. Where it called a page so before that was
// opened anew, the place is the incident, without a page.
func (s *Store) PlacesByLink(ctx context.Context, kind router.Kind, id string) ([]router.Place, error) {
	places, err := s.places(ctx, linkedQuery, id, string(kind), maxPlaces)
	if err != nil || len(places) > 0 {
		return places, err
	}
	return s.places(ctx,
		`SELECT i.number, i.waba, i.flow, i.state, i.opened_at, i.acknowledged_by, '', '', '', 0, 0, '', 0, '', '', 0
		FROM former_links f JOIN incidents i ON i.number = f.incident WHERE f.id = ? ORDER BY i.number DESC LIMIT ?`, id,
		maxPlaces)
}

// PlacesByKey returns the places that the service of a kind was told to find by one of some keys, the newest incident
// first: an incident that is over leaves its key to the next. Keys beyond the hundredth are not looked for.
func (s *Store) PlacesByKey(ctx context.Context, kind router.Kind, keys ...string) ([]router.Place, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	keys = keys[:min(len(keys), maxKeys)]
	args := []any{string(kind)}
	for _, key := range keys {
		args = append(args, key)
	}
	return s.places(ctx, `SELECT `+placeColumns+` FROM `+placeTables+`
		WHERE d.keyed = 1 AND d.kind = ? AND d.incident <> 0 AND d.key IN (?`+strings.Repeat(", ?", len(keys)-1)+`)
		ORDER BY d.id DESC LIMIT ?`, append(args, maxPlaces)...)
}

// Unlinked returns open pages that the service of a kind has accepted since a time and that have no link, or one from
// before they opened anew; those told last first, at most maxPlaces: some never get a name, and must not hide the
// others.
func (s *Store) Unlinked(ctx context.Context, kind router.Kind, since time.Time) ([]router.Place, error) {
	return s.places(ctx, `SELECT `+placeColumns+` FROM `+placeTables+`
		WHERE d.keyed = 1 AND d.kind = ? AND d.open = 1 AND d.updated_at > ? AND d.incident <> 0 AND d.have > 0
		AND d.state <> 'parked'
		AND (l.id IS NULL OR l.stale = 1) ORDER BY d.updated_at DESC, d.id DESC LIMIT ?`, string(kind), micros(since),
		maxPlaces)
}

func (s *Store) places(ctx context.Context, query string, args ...any) ([]router.Place, error) {
	found, err := all(ctx, s.read, query, args, func(row scanner) (p router.Place, err error) {
		var opened, known, open, stale int64
		var key string
		err = row.Scan(&p.Incident, &p.WABA, &p.Flow, &p.State, &opened, &p.AcknowledgedBy, &p.Notifier, &p.Key, &key,
			&known, &open, &p.Link.ID, &p.Link.Number, &p.Link.URL, &p.Link.Service, &stale)
		p.OpenedAt, p.Credential, p.Open = fromMicros(opened), s.routingKey(p.Notifier, key), open != 0
		p.Known, p.Stale = fromMicros(known), stale != 0
		if p.Link.ID != "" {
			p.Link.Notifier, p.Link.Key = p.Notifier, p.Key
		}
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	return found, nil
}

// writeLinks keeps what services call incidents where it can be looked for.
func writeLinks(ctx context.Context, tx *txn, b router.Batch) error {
	type row struct {
		incident int64
		link     router.Link
	}
	var rows []row
	for i := range b.Incidents {
		for _, link := range b.Incidents[i].Links {
			rows = append(rows, row{b.Incidents[i].Number, link})
		}
	}
	const former = `INSERT INTO former_links (id, incident) SELECT id, incident FROM links
		WHERE incident = ? AND notifier = ? AND key = ? AND id <> ? ON CONFLICT DO NOTHING`
	err := each(ctx, tx, rows, former, func(r row) ([]any, error) {
		return []any{r.incident, r.link.Notifier, r.link.Key, r.link.ID}, nil
	})
	if err != nil {
		return err
	}
	const query = `INSERT INTO links (incident, notifier, key, id, number, url, service) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (incident, notifier, key) DO UPDATE SET number = excluded.number, url = excluded.url,
		service = excluded.service,
		stale = CASE WHEN links.id = excluded.id THEN links.stale ELSE 0 END, id = excluded.id`
	return each(ctx, tx, rows, query, func(r row) ([]any, error) {
		return []any{r.incident, r.link.Notifier, r.link.Key, r.link.ID, r.link.Number, r.link.URL, r.link.Service}, nil
	})
}

// writeAlreadyThere makes deliveries remember the changes that came from their service: it is told nothing of them. One
// that waits, or is under way with an older state, is tried once more with the new one.
func (s *Store) writeAlreadyThere(ctx context.Context, tx *txn, b router.Batch) error {
	return s.record(ctx, tx, b.AlreadyThere)
}

// writeOvertaken does so for what became owed anew since.
func (s *Store) writeOvertaken(ctx context.Context, tx *txn, b router.Batch) error {
	return s.record(ctx, tx, b.Overtaken)
}

func (s *Store) record(ctx context.Context, tx *txn, known []router.Owed) error {
	for i := range known { // they are what people did in a service: few
		if err := writeOneAlreadyThere(ctx, tx, &known[i], micros(s.cfg.Now())); err != nil {
			return err
		}
	}
	return nil
}

// writeOneAlreadyThere changes the receipt as well: it says what the service has. A page that a person ended there, and
// that was told of something after that, may have opened anew by it: that is ended, too. One that the service ended by
// itself, and that was told of something after that, is the page that is owed. One that a person opened there, and that
// was told of the end after that, is over: it is told once more. So is one beside which more may be left there.
func writeOneAlreadyThere(ctx context.Context, tx *txn, o *router.Owed, now int64) error {
	var id, toldAt int64
	var body []byte
	err := tx.QueryRowContext(ctx,
		`SELECT id, told_at, receipt FROM deliveries WHERE incident = ? AND event = ? AND notifier = ?`,
		o.Incident, o.Event(), o.Target.Notifier).Scan(&id, &toldAt, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	var receipt router.Receipt
	if json.Unmarshal(body, &receipt) != nil { // it says nothing, and stays as it is
		receipt = router.Receipt{}
	}
	// PagerDuty says when to the second.
	since := !o.At.IsZero() && toldAt >= micros(o.At.Truncate(time.Second))
	revived, buried := !o.Open && receipt.Open && since, o.Open && !receipt.Open && since && receipt != (router.Receipt{})
	if receipt != (router.Receipt{}) && !buried && (!revived || !o.Ended.IsZero()) {
		receipt.Open, receipt.Opening, receipt.Acknowledged = o.Open || revived, cmp.Or(o.Opening, receipt.Opening),
			o.Acknowledged
		receipt.Unsure = receipt.Unsure && !o.Open // it is there: its service speaks of it
		if body, err = json.Marshal(receipt); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx,
		`UPDATE deliveries SET open = ?, opening = CASE WHEN ? > 0 THEN ? ELSE opening END, severity = ?,
			told_open = ?, receipt = ?, owed = owed + CASE WHEN state = 'waiting' THEN 1 ELSE 0 END, cosmetic = 0 WHERE id = ?`,
		toInt(o.Open), o.Opening, o.Opening, int64(o.Severity), toInt(o.Open && !buried || revived), string(body), id)
	if err == nil && (revived || buried || o.Left) {
		_, err = tx.ExecContext(ctx,
			`UPDATE deliveries SET owed = owed + 1, state = 'waiting', next_at = ?, owed_since = ? WHERE id = ?
				AND state <> 'waiting'`,
			now, now, id)
	}
	if err == nil {
		err = classify(ctx, tx, id)
	}
	if err == nil && !o.Open {
		_, err = tx.ExecContext(ctx, `UPDATE links SET stale = 1 WHERE incident = ? AND notifier = ? AND key = ?`, o.Incident,
			o.Target.Notifier, o.Key)
	}
	return err
}

// noteReceipt does what a new receipt means for links. A card that has an address now is shown on the incident's open
// pages, which says that they are renewed; a page that was closed gives up its link.
func noteReceipt(ctx context.Context, tx *txn, r *router.Result, was *before, now int64) (renewed bool, err error) {
	addressed := r.Receipt.Link != "" && r.Receipt.Link != was.receipt.Link
	closed := was.receipt.Open && !r.Receipt.Open
	switch {
	case was.incident == 0, !addressed && !closed:
		return false, nil
	case was.kind.Keyed():
		return false, tx.later(ctx, doing(`UPDATE links SET stale = 1 WHERE incident = ? AND notifier = ? AND key = ?`,
			was.incident, was.notifier, was.key))
	case !addressed:
		return false, nil
	}
	return true, tx.later(ctx, doing(renewPagesQuery, now+router.LinkAfter.Microseconds(), now, was.incident))
}

// renewPagesQuery renews the open pages of an incident. The sums leave PostgreSQL one way to find them: an index of all
// open pages may look as good, and was gone through from one end to the other for each (2.4 ms among 2,000).
var renewPagesQuery = `UPDATE deliveries SET owed = owed + 1, state = 'waiting',
	cosmetic = CASE WHEN state = 'waiting' AND cosmetic = 0 THEN 0 ELSE 2 END,
	next_at = CASE WHEN state = 'waiting' THEN next_at ELSE ? END,
	owed_since = CASE WHEN state = 'waiting' THEN owed_since ELSE ? END,
	class = ` + classSQL("", "", "") + `
	WHERE incident = ? AND keyed + 0 = 1 AND open + 0 = 1 AND state IN ('waiting', 'delivered')`

// Postpone keeps what a service said until its incident was looked up. A repeat is dropped; router.ErrBusy says that
// too much waits already.
func (s *Store) Postpone(ctx context.Context, p router.Postponed) error {
	body, err := json.Marshal(p.Events)
	if err != nil {
		return fmt.Errorf("postpone: %w", err)
	}
	err = s.inTx(ctx, func(tx *txn) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM postponed`).Scan(&n); err != nil {
			return err
		}
		if n >= router.MaxPostponed {
			return router.ErrBusy
		}
		_, err := tx.ExecContext(ctx,
			`INSERT INTO postponed (about, digest, received_at, next_at, body) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (digest) DO NOTHING`, p.About, p.Digest, micros(p.Received), micros(p.Received), string(body))
		return err
	})
	if err != nil {
		return fmt.Errorf("postpone: %w", err)
	}
	return nil
}

// Waits says whether something that a service said of an incident of its own waits: what it says next must wait, too.
func (s *Store) Waits(ctx context.Context, about string) (bool, error) {
	found, err := all(ctx, s.read, `SELECT id FROM postponed WHERE about = ? LIMIT 1`, []any{about}, scanID)
	if err != nil {
		return false, fmt.Errorf("read what was postponed: %w", err)
	}
	return len(found) > 0, nil
}

// Postponed returns the oldest thing that waits about each incident, if it is due at now; at most limit.
func (s *Store) Postponed(ctx context.Context, now time.Time, limit int) ([]router.Postponed, error) {
	found, err := all(ctx, s.read,
		`SELECT id, about, digest, received_at, attempts, body FROM postponed p WHERE next_at <= ?
		AND NOT EXISTS (SELECT 1 FROM postponed older WHERE older.about = p.about AND older.id < p.id) ORDER BY id LIMIT ?`,
		[]any{micros(now), limit}, func(row scanner) (p router.Postponed, err error) {
			var received int64
			err = row.Scan(&p.ID, &p.About, &p.Digest, &received, &p.Attempts, legibleJSON{&p.Events})
			p.Received = fromMicros(received)
			return p, err
		})
	if err != nil {
		return nil, fmt.Errorf("read what was postponed: %w", err)
	}
	return found, nil
}

// PostponeMore makes what waits wait until a time, as an attempt that failed.
func (s *Store) PostponeMore(ctx context.Context, id int64, until time.Time) error {
	return s.inTx(ctx, func(tx *txn) error {
		_, err := tx.ExecContext(ctx, `UPDATE postponed SET attempts = attempts + 1, next_at = ? WHERE id = ?`,
			micros(until), id)
		return err
	})
}

// Settle forgets what waited.
func (s *Store) Settle(ctx context.Context, id int64) error {
	return s.inTx(ctx, func(tx *txn) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM postponed WHERE id = ?`, id)
		return err
	})
}
