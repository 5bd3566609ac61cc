package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"flowbridge/router"
)

// How much of an event is kept: the column reduced. Its digest stays in any case, so that a repeat is known.
const (
	keptWhole  = 0
	keptInPart = 1 // no more of what it said than a rule shows
	keptDigest = 2 // it is shown no more, and no replay finds it
)

// keepUnreadable is how long the body of a post that could not be read is kept; why it could not be read stays.
const keepUnreadable = 7 * 24 * time.Hour

// writeKept puts what is kept of some events in their place, and notes whose it is.
func (s *Store) writeKept(ctx context.Context, tx *txn, outcomes []router.Outcome) error {
	type owner struct {
		person string
		event  int64
	}
	var reduced []router.Outcome
	var owners []owner
	for _, o := range outcomes {
		if o.Kept != nil {
			reduced = append(reduced, o)
		}
		for _, id := range o.People {
			owners = append(owners, owner{s.pseudonym(id), o.Seq})
		}
	}
	err := each(ctx, tx, reduced, `UPDATE events SET body = ?, reduced = ? WHERE seq = ?`,
		func(o router.Outcome) ([]any, error) {
			body, err := json.Marshal(o.Kept)
			return []any{string(body), int64(keptInPart), o.Seq}, err
		})
	if err != nil {
		return err
	}
	return each(ctx, tx, owners, `INSERT INTO people (person, event) VALUES (?, ?) ON CONFLICT (person, event) DO NOTHING`,
		func(o owner) ([]any, error) { return []any{o.person, o.event}, nil })
}

// pseudonym is what stands for a telephone number or an id in the table people. The key keeps it from being the same in
// every database; who has the whole file can still try every number.
func (s *Store) pseudonym(id string) string {
	mac := hmac.New(sha256.New, s.peopleKey)
	mac.Write([]byte(router.PlainPhone(id)))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// loadPeopleKey reads the key of the pseudonyms, and makes it where there is none.
func (s *Store) loadPeopleKey(ctx context.Context) error {
	const name = "people_key"
	if _, err := s.write.ExecContext(ctx,
		`INSERT INTO remembered (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`, name, rand.Text()); err != nil {
		return err
	}
	key, err := s.remembered(ctx, s.write, name)
	s.peopleKey = []byte(key)
	return err
}

// remembered returns a single value, "" for none.
func (s *Store) remembered(ctx context.Context, q querier, name string) (value string, err error) {
	err = q.QueryRowContext(ctx, `SELECT value FROM remembered WHERE name = ?`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return value, err
}

// storedEvent is an event with what the store knows of it.
type storedEvent struct {
	router.Event
	outcome string
	legible bool // what is stored of it can be read
}

func scanStored(row scanner) (e storedEvent, err error) {
	e.Event, err = scanEvent(row, &e.outcome)
	e.legible = e.Source != "" // every event has one
	return e, err
}

// reduceUnreadable removes the bodies of posts that could not be read and came before a time.
func (s *Store) reduceUnreadable(ctx context.Context, before int64) (n int64, err error) {
	for last := int64(0); ; {
		page, err := all(ctx, s.read,
			`SELECT seq, digest, body, outcome FROM events WHERE state = 'unreadable' AND state <> 'folded'
			AND seq > ? AND reduced = 0 AND received_at < ? ORDER BY seq LIMIT ?`, []any{last, before, sweepRows / 10},
			scanStored)
		if err != nil || len(page) == 0 {
			return n, err
		}
		last = page[len(page)-1].Seq
		outcomes := make([]router.Outcome, len(page))
		for i := range page {
			outcomes[i] = router.Outcome{Seq: page[i].Seq, Kept: new(page[i].Reduce(router.ReducedUnread))}
		}
		if err := s.remove(ctx, func(tx *txn) error { return s.writeKept(ctx, tx, outcomes) }); err != nil {
			return n, err
		}
		n += int64(len(page))
	}
}

// reducePast does for events that an older flowbridge folded what is done with every fold now, little by little and
// once.
func (s *Store) reducePast(ctx context.Context) (n int64, err error) {
	from, err := s.remembered(ctx, s.read, "reduce_from")
	if err != nil || from == "" {
		return 0, err
	}
	to, err := s.remembered(ctx, s.read, "reduce_to")
	if err != nil {
		return 0, err
	}
	last, _ := strconv.ParseInt(from, 10, 64)
	end, _ := strconv.ParseInt(to, 10, 64)
	for {
		page, err := all(ctx, s.read, `SELECT seq, digest, body, outcome FROM events WHERE seq > ? AND seq <= ?
			AND state IN ('folded', 'failed') AND reduced = 0 ORDER BY seq LIMIT ?`, []any{last, end, sweepRows}, scanStored)
		if err != nil {
			return n, err
		}
		if len(page) == 0 {
			return n, s.remove(ctx, func(tx *txn) error {
				_, err := tx.ExecContext(ctx, `DELETE FROM remembered WHERE name IN ('reduce_from', 'reduce_to')`)
				return err
			})
		}
		last = page[len(page)-1].Seq
		outcomes, err := s.pastOutcomes(ctx, page)
		if err != nil {
			return n, err
		}
		err = s.remove(ctx, func(tx *txn) error {
			if err := s.writeKept(ctx, tx, outcomes); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `UPDATE remembered SET value = ? WHERE name = 'reduce_from'`,
				strconv.FormatInt(last, 10))
			return err
		})
		if err != nil {
			return n, err
		}
		n += int64(len(outcomes))
	}
}

// pastOutcomes says what is kept of events of the past: the fields that a notice of them shows.
func (s *Store) pastOutcomes(ctx context.Context, page []storedEvent) (outcomes []router.Outcome, err error) {
	for i := range page {
		e := &page[i]
		d := router.Decision{Drop: strings.HasPrefix(e.outcome, "dropped by rule ")}
		personal := router.IsPersonal(e.Name)
		if !e.legible || !personal && !d.Drop {
			continue
		}
		o := router.Outcome{Seq: e.Seq}
		if personal {
			notices, err := all(ctx, s.read, `SELECT body FROM notices WHERE event = ?`, []any{e.Seq}, scanText)
			if err != nil {
				return nil, err
			}
			for _, body := range notices {
				var n router.Notice
				if json.Unmarshal([]byte(body), &n) == nil {
					d.Fields = n.Fields
				}
				o.People = e.People()
			}
		}
		if o.Kept = e.Kept(&d); o.Kept != nil {
			outcomes = append(outcomes, o)
		}
	}
	return outcomes, nil
}
