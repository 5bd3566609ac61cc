package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"flowbridge/router"
)

// History is a journal and what was told of it, opened only to be read: it migrates nothing, writes nothing, and leaves
// a bridge that runs on the same database alone. Every method reads a bounded part in a short transaction of its own.
type History struct {
	db    *pool
	close func() error
	// quiet is the file beside a database that nobody writes to, which must not appear while it is read; "" where somebody
	// may write.
	quiet string
}

// OpenHistory opens a database for reading. It must exist.
func OpenHistory(ctx context.Context, dsn string) (*History, error) {
	if err := CheckDSN(dsn); err != nil {
		return nil, err
	}
	open := openSQLiteHistory
	if IsPostgres(dsn) {
		open = openPostgresHistory
	}
	h, err := open(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("open history %s: %w", DisplayName(dsn), err)
	}
	if _, err := h.Bounds(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open history %s: it is no database that a bridge has written: %w",
			DisplayName(dsn), explain(err)), h.Close())
	}
	return h, nil
}

func openPostgresHistory(ctx context.Context, dsn string) (*History, error) {
	s := newStore(Config{DSN: dsn})
	s.onlyReads = true
	if _, err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return &History{db: s.read, close: s.release}, nil
}

// openSQLiteHistory opens a file that it cannot write to. A file in whose folder nobody has written beside it (no -wal)
// is taken as it is, so that nothing is made there; else a bridge may be at work, and its newest commits are in that
// file.
func openSQLiteHistory(_ context.Context, path string) (h *History, err error) {
	info, err := os.Stat(path)
	switch {
	case path == "":
		return nil, errors.New("no path given")
	case err != nil:
		return nil, err
	}
	if err := checkFile(info); err != nil {
		return nil, err
	}
	settings := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(5000)", "query_only(1)", "cache_size(-8000)"}}
	h = &History{}
	if _, err := os.Stat(path + "-wal"); errors.Is(err, os.ErrNotExist) {
		settings.Set("immutable", "1")
		h.quiet = path + "-wal"
	}
	db, err := openFile(path, settings)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(2)
	h.db, h.close = &pool{DB: db, d: sqlite}, db.Close
	return h, nil
}

// undisturbed says that nobody began to write to what is read as if nobody did.
func (h *History) undisturbed() error {
	if h.quiet == "" {
		return nil
	}
	if _, err := os.Stat(h.quiet); err == nil {
		return errors.New("a bridge has begun to write to the database: start again")
	}
	return nil
}

// Close closes the database.
func (h *History) Close() error { return h.close() }

// HistoryBounds is what a journal spans.
type HistoryBounds struct {
	First, Last int64     // positions of the first event and of the last that was folded; 0 if there is none
	End         time.Time // up to when the bridge is known to have worked
}

// Bounds returns what the journal spans. Events that wait to be folded are left out: nobody was told of them yet.
func (h *History) Bounds(ctx context.Context) (b HistoryBounds, err error) {
	var waiting, received, updated int64
	err = h.db.QueryRowContext(ctx, `SELECT coalesce(min(seq), 0), coalesce(max(seq), 0),
		(SELECT coalesce(min(seq), 0) FROM events WHERE state = 'waiting') FROM events`).Scan(&b.First, &b.Last, &waiting)
	if err == nil && waiting > 0 {
		b.Last = waiting - 1
	}
	if err == nil {
		err = h.db.QueryRowContext(ctx, `SELECT (SELECT coalesce(max(received_at), 0) FROM events WHERE seq = ?),
			(SELECT coalesce(max(updated_at), 0) FROM deliveries)`, b.Last).Scan(&received, &updated)
	}
	b.End = fromMicros(max(received, updated))
	return b, err
}

// Events returns at most limit events with positions after one and up to another, in journal order, without those that
// could not be read. Of some not all that they said is kept: see router.Reduced.
func (h *History) Events(ctx context.Context, after, upTo int64, limit int) ([]router.Event, error) {
	rows, err := h.db.QueryContext(ctx,
		`SELECT seq, digest, body FROM events WHERE seq > ? AND seq <= ? AND state <> 'unreadable' ORDER BY seq LIMIT ?`,
		after, upTo, limit)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer rows.Close()
	var events []router.Event
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		events = append(events, e)
	}
	return events, errors.Join(rows.Err(), h.undisturbed())
}

// PastDelivery is a delivery of the past.
type PastDelivery struct {
	Notifier string
	Kind     router.Kind
	PagedAt  int64 // journal position behind a second page about an incident; else 0
	State    router.DeliveryState
	Told     bool // something was made at the service, or may have been
}

// PastIncident is an incident of the past with what was told of it.
type PastIncident struct {
	Number     int64
	Key        string
	WABA, Flow string
	Event      string
	Rule       string
	OpenedAt   time.Time
	ResolvedAt time.Time // zero if it is not
	OpenedBy   int64     // journal position; 0 if that is not known any more
	Deliveries []PastDelivery
}

// Incidents returns at most limit incidents with numbers after one, in their order, which is that of the events that
// opened them.
func (h *History) Incidents(ctx context.Context, after int64, limit int) (found []PastIncident, err error) {
	rows, err := h.db.QueryContext(ctx,
		`SELECT i.number, i.key, i.waba, i.flow, i.event, i.rule, i.opened_at, i.resolved_at, coalesce(t.event, 0)
		FROM incidents i LEFT JOIN timeline t ON t.incident = i.number AND t.n = 1 WHERE i.number > ? ORDER BY i.number
		LIMIT ?`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	defer rows.Close()
	at := map[int64]int{}
	for rows.Next() {
		var i PastIncident
		var opened, resolved int64
		if err := rows.Scan(&i.Number, &i.Key, &i.WABA, &i.Flow, &i.Event, &i.Rule, &opened, &resolved,
			&i.OpenedBy); err != nil {
			return nil, fmt.Errorf("read incidents: %w", err)
		}
		i.OpenedAt, i.ResolvedAt = fromMicros(opened), fromMicros(resolved)
		at[i.Number] = len(found)
		found = append(found, i)
	}
	if err := rows.Err(); err != nil || len(found) == 0 {
		return found, err
	}
	err = h.deliveries(ctx, `incident > ? AND incident <= ?`, func(incident, event int64, d PastDelivery, _ []byte) error {
		if i, ok := at[incident]; ok {
			d.PagedAt = event
			found[i].Deliveries = append(found[i].Deliveries, d)
		}
		return nil
	}, after, found[len(found)-1].Number)
	return found, err
}

// PastNotice is a notice of the past, as one notifier was told of it.
type PastNotice struct {
	PastDelivery
	router.Notice
}

// Notices returns what was told of the events with positions after one and up to another that have no pair.
func (h *History) Notices(ctx context.Context, after, upTo int64) (found []PastNotice, err error) {
	err = h.deliveries(ctx, `incident = 0 AND d.event > ? AND d.event <= ?`,
		func(_, event int64, d PastDelivery, body []byte) error {
			n := PastNotice{PastDelivery: d}
			if body != nil {
				n.Notice = *readNotice(event, time.Time{}, router.Info, body)
			}
			n.Notice.Event = event
			found = append(found, n)
			return nil
		}, after, upTo)
	return found, err
}

func (h *History) deliveries(ctx context.Context, where string,
	each func(incident, event int64, d PastDelivery, notice []byte) error, args ...any) error {
	rows, err := h.db.QueryContext(ctx, `SELECT incident, d.event, notifier, kind, state, receipt, n.body FROM deliveries d
		LEFT JOIN notices n ON d.incident = 0 AND n.event = d.event WHERE `+where+` ORDER BY incident, d.event, notifier`,
		args...)
	if err != nil {
		return fmt.Errorf("read deliveries: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var incident, event int64
		var d PastDelivery
		var receipt, body []byte
		if err := rows.Scan(&incident, &event, &d.Notifier, &d.Kind, &d.State, &receipt, &body); err != nil {
			return fmt.Errorf("read deliveries: %w", err)
		}
		d.Told = d.State == router.DeliveryDelivered || len(receipt) > len("{}")
		if err := each(incident, event, d, body); err != nil {
			return fmt.Errorf("read deliveries: %w", err)
		}
	}
	return rows.Err()
}

// IncidentKey returns the key of an incident by its number, or router.ErrNotFound.
func (h *History) IncidentKey(ctx context.Context, number int64) (key string, err error) {
	err = h.db.QueryRowContext(ctx, `SELECT key FROM incidents WHERE number = ?`, number).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		err = router.ErrNotFound
	}
	return key, err
}
