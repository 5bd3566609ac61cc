package store

import (
	"bytes"
	"compress/flate"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"flowbridge/router"
)

const (
	// mostAttempts bounds what is kept of one delivery. A service that is away for days is tried every minute: of such a
	// delivery the first attempts say why, and the newest how it is now.
	mostAttempts  = 100
	firstAttempts = 10
	// mostExchange bounds what is read back of one exchange, in bytes: all that one may hold, and its frame.
	mostExchange = router.MaxCalls*(router.MaxRequest+router.MaxAnswer) + 64<<10
)

// attemptRow is an attempt as it is written, for each delivery that it was for.
type attemptRow struct {
	router.Attempt
	claim      string
	deliveries []int64 // the first holds the exchange
	exchange   []byte
}

func encodeAttempt(r *router.Result) (*attemptRow, error) {
	exchange, err := packExchange(r.Attempt)
	row := &attemptRow{Attempt: *r.Attempt, claim: r.Claim, deliveries: []int64{r.Delivery}, exchange: exchange}
	if r.Digest != nil {
		for _, p := range r.Digest.Parts {
			if p.Delivery != r.Delivery {
				row.deliveries = append(row.deliveries, p.Delivery)
			}
		}
	}
	return row, err
}

// write keeps the attempt, as the nth that was made.
func (a *attemptRow) write(ctx context.Context, tx *txn, n int64) error {
	const insert = `INSERT INTO attempts (delivery, n, revision, at, took, result, status, error, claim,
		told_by, exchange) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	first := a.deliveries[0]
	if err := tx.later(ctx, doing(insert, a.args(first, n, 0, a.exchange)...)); err != nil {
		return err
	}
	if n > mostAttempts {
		if err := tx.later(ctx, doing(`DELETE FROM attempts WHERE delivery = ? AND n > ? AND n <= ?`,
			first, firstAttempts, n-mostAttempts+firstAttempts)); err != nil {
			return err
		}
	}
	if len(a.deliveries) == 1 {
		return nil
	}
	list, args := among(a.deliveries[1:])
	had, err := all(ctx, tx, `SELECT delivery, max(n) FROM attempts WHERE delivery IN `+list+` GROUP BY delivery`, args,
		func(row scanner) (had [2]int64, err error) {
			err = row.Scan(&had[0], &had[1])
			return had, err
		})
	if err != nil {
		return err
	}
	last := map[int64]int64{}
	for _, one := range had {
		last[one[0]] = one[1]
	}
	return each(ctx, tx, a.deliveries[1:], insert, func(delivery int64) ([]any, error) {
		return a.args(delivery, last[delivery]+1, first, []byte{}), nil
	})
}

func (a *attemptRow) args(delivery, n, toldBy int64, exchange []byte) []any {
	return []any{delivery, n, a.Revision, micros(a.At), a.Took.Microseconds(), string(a.Result), int64(a.Status), a.Error,
		a.claim, toldBy, exchange}
}

// Attempts returns what is kept of the attempts at a delivery, oldest first.
func (s *Store) Attempts(ctx context.Context, delivery int64) ([]router.Attempt, error) {
	found, err := all(ctx, s.read, `SELECT `+attemptColumns+` FROM attempts WHERE delivery = ? ORDER BY n LIMIT ?`,
		[]any{delivery, mostAttempts}, scanAttempt)
	if err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	for i := range found {
		a := &found[i]
		if a.With == 0 {
			continue
		}
		// A digest is tried under one claim for all of its deliveries.
		told, err := all(ctx, s.read, `SELECT `+attemptColumns+` FROM attempts WHERE delivery = ?
			AND claim = (SELECT claim FROM attempts WHERE delivery = ? AND n = ?)`, []any{a.With, delivery, a.N}, scanAttempt)
		if err != nil {
			return nil, fmt.Errorf("read attempts: %w", err)
		}
		if len(told) > 0 {
			a.Calls, a.More = told[0].Calls, told[0].More
		}
	}
	return found, nil
}

// Delivery returns one delivery, or router.ErrNotFound.
func (s *Store) Delivery(ctx context.Context, id int64) (d router.Delivery, err error) {
	found, err := deliveries(ctx, s.read, `id = ?`, id)
	switch {
	case err != nil:
		return d, fmt.Errorf("read delivery: %w", err)
	case len(found) == 0:
		return d, router.ErrNotFound
	}
	return found[0], nil
}

const attemptColumns = `delivery, n, revision, at, took, result, status, error, told_by, exchange`

func scanAttempt(row scanner) (a router.Attempt, err error) {
	var at, took int64
	var exchange []byte
	if err := row.Scan(&a.Delivery, &a.N, &a.Revision, &at, &took, &a.Result, &a.Status, &a.Error, &a.With,
		&exchange); err != nil {
		return a, err
	}
	a.At, a.Took = fromMicros(at), time.Duration(took)*time.Microsecond
	if unpackExchange(&a, exchange) != nil {
		a.Calls, a.More = []router.Call{{Error: exchangeLost}}, 0
	}
	return a, nil
}

// exchangeLost stands for the calls of an attempt that cannot be read.
const exchangeLost = "what was sent and answered cannot be read"

// exchangeHead stands before the texts of an exchange, which follow one after the other: as JSON they would be escaped.
type exchangeHead struct {
	Calls []callHead `json:"calls"`
	More  int        `json:"more,omitempty"`
}

type callHead struct {
	Method     string `json:"method"`
	URL        string `json:"url"`
	Status     int    `json:"status,omitempty"`
	Took       int64  `json:"took"` // microseconds
	Error      string `json:"error,omitempty"`
	Request    int    `json:"request,omitempty"` // bytes
	Answer     int    `json:"answer,omitempty"`  // bytes
	RequestCut bool   `json:"request_cut,omitempty"`
	AnswerCut  bool   `json:"answer_cut,omitempty"`
}

// packer is what compresses; making one takes longer than using it.
type packer struct {
	out   bytes.Buffer
	flate *flate.Writer
}

var packers = sync.Pool{New: func() any {
	p := &packer{}
	p.flate, _ = flate.NewWriter(&p.out, flate.BestSpeed) // which is a level that there is
	return p
}}

// packExchange compresses the calls of an attempt; nothing for none.
func packExchange(a *router.Attempt) ([]byte, error) {
	if len(a.Calls) == 0 {
		return []byte{}, nil
	}
	head := exchangeHead{Calls: make([]callHead, len(a.Calls)), More: a.More}
	for i := range a.Calls {
		c := &a.Calls[i]
		head.Calls[i] = callHead{c.Method, c.URL, c.Status, c.Took.Microseconds(), c.Error, len(c.Request), len(c.Answer),
			c.RequestCut, c.AnswerCut}
	}
	first, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	p := packers.Get().(*packer)
	defer packers.Put(p)
	p.out.Reset()
	p.flate.Reset(&p.out)
	_, err = p.flate.Write(append(first, '\n'))
	for i := range a.Calls {
		for _, text := range []string{a.Calls[i].Request, a.Calls[i].Answer} {
			if err == nil {
				_, err = io.WriteString(p.flate, text)
			}
		}
	}
	if err = errors.Join(err, p.flate.Close()); err != nil {
		return nil, err
	}
	return bytes.Clone(p.out.Bytes()), nil
}

func unpackExchange(a *router.Attempt, packed []byte) error {
	if len(packed) == 0 {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), mostExchange))
	if err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	var head exchangeHead
	if err := json.Unmarshal(first, &head); err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	take := func(n int) string {
		n = max(0, min(n, len(rest)))
		taken := rest[:n]
		rest = rest[n:]
		return string(taken)
	}
	a.More = head.More
	for _, c := range head.Calls {
		a.Calls = append(a.Calls, router.Call{Method: c.Method, URL: c.URL, Status: c.Status,
			Took: time.Duration(c.Took) * time.Microsecond, Error: c.Error,
			Request: take(c.Request), Answer: take(c.Answer), RequestCut: c.RequestCut, AnswerCut: c.AnswerCut})
	}
	return nil
}

// sweepAttempts removes those that were made before a time.
func (s *Store) sweepAttempts(ctx context.Context, before int64) (int64, error) {
	return s.removePages(ctx, `SELECT delivery, n FROM attempts WHERE at < ? ORDER BY at LIMIT ?`,
		[]any{before, sweepRows},
		`DELETE FROM attempts WHERE delivery = ? AND n = ?`, func(row scanner) ([]any, error) {
			var delivery, n int64
			err := row.Scan(&delivery, &n)
			return []any{delivery, n}, err
		})
}

// attempts goes through all attempts. Of one that names the person nothing that was sent or answered stays.
func (f *forgetting) attempts(ctx context.Context) error {
	for last := (router.Attempt{Delivery: -1}); ; {
		page, err := all(ctx, f.s.read, `SELECT `+attemptColumns+
			` FROM attempts WHERE (delivery, n) > (?, ?) ORDER BY delivery, n LIMIT ?`,
			[]any{last.Delivery, last.N, forgetPage}, scanAttempt)
		if err != nil || len(page) == 0 {
			return err
		}
		last = page[len(page)-1]
		var gone []router.Attempt
		for _, a := range page {
			named, err := f.inAttempt(ctx, &a)
			if err != nil {
				return err
			}
			if named {
				gone = append(gone, a)
			}
		}
		if len(gone) == 0 {
			continue
		}
		err = f.s.remove(ctx, func(tx *txn) error {
			return each(ctx, tx, gone, `UPDATE attempts SET error = ?, exchange = ? WHERE delivery = ? AND n = ?`,
				func(a router.Attempt) ([]any, error) {
					exchange, err := packExchange(&a)
					return []any{a.Error, exchange, a.Delivery, a.N}, err
				})
		})
		if err != nil {
			return err
		}
		f.found.Attempts += int64(len(gone))
	}
}

// inAttempt says whether an attempt names the person, or tells of an event that is known to be of theirs, and takes
// them out.
func (f *forgetting) inAttempt(ctx context.Context, a *router.Attempt) (found bool, err error) {
	whole := false
	if len(f.own) > 0 && len(a.Calls) > 0 {
		event, err := number(ctx, f.s.read, `SELECT event FROM deliveries WHERE id = ? AND incident = 0`, a.Delivery)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, err
		}
		whole = err == nil && f.own[event]
	}
	if f.p.In(a.Error) {
		a.Error, found = router.Forgotten, true
	}
	for i := range a.Calls {
		c := &a.Calls[i]
		if c.Error == exchangeLost { // nobody can tell what is in there
			c.Request, c.Answer, c.Error, found = router.Forgotten, router.Forgotten, "", true
			continue
		}
		if c.Request == router.Forgotten && c.Answer == router.Forgotten {
			continue
		}
		if whole || f.p.InJSON([]byte(c.Request)) || f.p.InJSON([]byte(c.Answer)) || f.p.In(c.Request) || f.p.In(c.Answer) ||
			f.p.In(c.Error) {
			c.Request, c.Answer, c.Error, found = router.Forgotten, router.Forgotten, "", true
			c.RequestCut, c.AnswerCut = false, false
		}
	}
	return found, nil
}
