package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"flowbridge/router"
)

// digestible returns the deliveries that are told in one message together with a candidate; nil if it is told alone.
// A channel that is flooded is told of new incidents in a digest, of the end of those that have no card, and of news.
// What may have a card already is looked at alone, and what pages people always is. So is a notice whose rule names
// fields to show: it is asked for.
func digestible(ctx context.Context, tx *txn, ask *router.Ask, c *candidate) (ids []int64, err error) {
	few := router.StormSize
	switch {
	case !c.n.Target.Kind.Digests(), c.told == toldCard, c.n.MayExist:
		return nil, nil
	case c.n.Class == router.ClassNews:
		return digestibleNews(ctx, tx, ask, c)
	case c.incident == 0:
		return nil, nil
	case c.n.Class == router.ClassResolved:
		few = router.FewRecoveries
	case c.n.Class != router.ClassNew:
		return nil, nil
	}
	now := micros(ask.Now)
	ids, err = all(ctx, tx, digestibleQuery,
		[]any{ask.Notifier, int64(c.n.Class), string(c.n.Target.Kind), c.n.Target.Address, now, toInt(c.n.Open),
			int64(toldCard), 2 * router.DigestSize, now, now, router.DigestSize},
		scanID)
	if err != nil || len(ids) <= few {
		return nil, err
	}
	return ids, nil
}

// inLine is the first that wait for a place in a class, in line, of those of which nobody may have been told and a
// condition holds. Whoever asks leaves out those of them that may not be claimed, which are few: asked of all together,
// PostgreSQL looks at each that waits and sorts them (2 s among 50,000).
func inLine(condition string) string {
	return `(SELECT id, event, target, key, state, next_at, owed_since FROM deliveries
		WHERE state = 'waiting' AND notifier = ? AND class = ` + integer + ` AND kind = ? AND channel = ? AND next_at <= ?
		AND may_exist = 0 AND digest = '' AND ` + condition + ` ORDER BY owed_since, id LIMIT ?) AS d`
}

var (
	digestibleQuery = `SELECT d.id FROM ` + inLine(`incident > 0 AND open = ? AND told <> ?`) + `
		WHERE ` + claimable + ` ORDER BY d.owed_since, d.id LIMIT ?`
	digestibleNewsQuery = `SELECT d.id, n.body FROM ` + inLine(`incident = 0`) + `
		JOIN notices n ON n.event = d.event WHERE ` + claimable + ` ORDER BY d.owed_since, d.id LIMIT ?`
)

// digestibleNews does so for a notice for information.
func digestibleNews(ctx context.Context, tx *txn, ask *router.Ask, c *candidate) (ids []int64, err error) {
	type waiting struct {
		id     int64
		notice router.Notice
	}
	now := micros(ask.Now)
	found, err := all(ctx, tx, digestibleNewsQuery,
		[]any{ask.Notifier, int64(c.n.Class), string(c.n.Target.Kind), c.n.Target.Address, now, 2 * router.DigestSize,
			now, now, router.DigestSize},
		func(row scanner) (w waiting, err error) {
			err = row.Scan(&w.id, legibleJSON{&w.notice})
			return w, err
		})
	for _, w := range found {
		if len(w.notice.Fields) == 0 && w.notice.Recovery == "" {
			ids = append(ids, w.id)
		}
	}
	if err != nil || len(ids) <= router.FewNews || !slices.Contains(ids, c.id) {
		return nil, err
	}
	return ids, nil
}

// manyDigestedQuery counts no more than decides it.
const manyDigestedQuery = `SELECT count(*) FROM (SELECT 1 AS one FROM deliveries
	WHERE state = 'waiting' AND notifier = ? AND class = ` + integer + ` ORDER BY owed_since LIMIT ?) AS few`

// manyDigested says whether a digest still stands in for the cards of a channel.
func manyDigested(ctx context.Context, q querier, notifier string) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, manyDigestedQuery,
		notifier, int64(router.ClassDigested), router.StormSize+1).Scan(&n)
	return n > router.StormSize, err
}

// among writes an IN list.
func among(ids []int64) (list string, args []any) {
	for _, id := range ids {
		args = append(args, id)
	}
	return "(" + strings.TrimPrefix(strings.Repeat(", ?", len(ids)), ", ") + ")", args
}

// digestBody is what is kept of a digest until it is known whether it was told.
type digestBody struct {
	Begun     int64        `json:"begun"` // microseconds
	Recovered bool         `json:"recovered,omitempty"`
	News      bool         `json:"news,omitempty"`
	Parts     []digestPart `json:"parts"`
}

type digestPart struct {
	Delivery int64           `json:"delivery"`
	Revision int64           `json:"revision"`
	Severity router.Severity `json:"severity"`
	Told     bool            `json:"told,omitempty"`
	Incident int64           `json:"incident"`
	Event    int64           `json:"event,omitempty"` // of a notice
}

func (b *digestBody) deliveries() (ids []int64) {
	for _, p := range b.Parts {
		ids = append(ids, p.Delivery)
	}
	return ids
}

// beginDigest makes the candidate a new digest of its deliveries, but for those that have ended or come back since they
// were picked, or that the fold is about to change.
func (c *candidate) beginDigest(ctx context.Context, tx *txn, ids []int64, now int64) error {
	list, args := among(ids)
	parts, err := all(ctx, tx, `SELECT d.id, d.owed, d.severity, d.told, d.incident, d.event FROM deliveries d
		WHERE d.id IN `+list+` AND d.open = ? ORDER BY d.owed_since, d.id`+tx.d.skipLocked,
		append(args, toInt(c.n.Open)),
		func(row scanner) (p digestPart, err error) {
			var told telling
			err = row.Scan(&p.Delivery, &p.Revision, &p.Severity, &told, &p.Incident, &p.Event)
			p.Told = told == toldDigest
			return p, err
		})
	if err != nil {
		return err
	}
	c.n.Receipt = router.Receipt{}
	c.body = digestBody{Begun: now, Recovered: c.n.Class == router.ClassResolved, News: c.n.Class == router.ClassNews,
		Parts: parts}
	return c.fillDigest(ctx, tx, rand.Text())
}

// recallDigest makes the candidate the digest that may have told of it, as that was begun.
func (c *candidate) recallDigest(ctx context.Context, tx *txn) error {
	c.n.Receipt, c.n.MayExist = router.Receipt{Unsure: true}, true
	var text []byte
	err := tx.QueryRowContext(ctx, `SELECT looks, body FROM digests WHERE id = ?`, c.unsettled).Scan(&c.n.Receipt.Looks,
		&text)
	if err != nil {
		return fmt.Errorf("read digest: %w", err)
	}
	if json.Unmarshal(text, &c.body) != nil || len(c.body.Parts) == 0 {
		if err := c.forgetDigest(ctx, tx); err != nil {
			return err
		}
		return errForgotten
	}
	if err := c.lockDigest(ctx, tx); err != nil {
		return err
	}
	return c.fillDigest(ctx, tx, c.unsettled)
}

// errForgotten says that a digest cannot be read: its deliveries are told anew.
var errForgotten = errors.New("the digest cannot be read")

// forgetDigest sets the deliveries of a digest free. What it may have told is told once more: rather that than never.
func (c *candidate) forgetDigest(ctx context.Context, tx *txn) error {
	_, err := tx.ExecContext(ctx, `UPDATE deliveries SET digest = '' WHERE state = 'waiting' AND notifier = ? AND digest = ?`,
		c.n.Target.Notifier, c.unsettled)
	if err == nil {
		_, err = tx.ExecContext(ctx, `DELETE FROM digests WHERE id = ?`, c.unsettled)
	}
	return err
}

// errLocked says that the fold is about to change something of a digest that is to be claimed whole.
var errLocked = errors.New("something of the digest is about to change")

// lockDigest locks all deliveries of a digest, or returns errLocked. It does not wait, since it holds one of them:
// whoever has another may want that.
func (c *candidate) lockDigest(ctx context.Context, tx *txn) error {
	if tx.d.skipLocked == "" {
		return nil
	}
	list, args := among(c.body.deliveries())
	there, err := number(ctx, tx, `SELECT count(*) FROM deliveries WHERE id IN `+list, args...)
	if err != nil {
		return err
	}
	locked, err := all(ctx, tx, `SELECT d.id FROM deliveries d WHERE d.id IN `+list+tx.d.skipLocked, args, scanID)
	if err == nil && int64(len(locked)) < there {
		return errLocked
	}
	return err
}

func (c *candidate) fillDigest(ctx context.Context, tx *txn, id string) error {
	c.n.Digest = &router.Digest{ID: id, Begun: fromMicros(c.body.Begun), Unsettled: c.unsettled != "",
		Recovered: c.body.Recovered, News: c.body.News}
	fill := c.fillIncidents
	if c.body.News {
		fill = c.fillNews
	}
	if err := fill(ctx, tx); err != nil {
		return err
	}
	if len(c.n.Digest.Parts) == 0 {
		return fmt.Errorf("read digest: nothing of it is left")
	}
	first := &c.n.Digest.Parts[0]
	c.n.Delivery, c.n.Revision = first.Delivery, first.Revision
	return nil
}

func (c *candidate) fillNews(ctx context.Context, tx *txn) error {
	list, args := among(c.body.deliveries())
	found, err := all(ctx, tx, `SELECT event, folded_at, body FROM notices
		WHERE event IN (SELECT event FROM deliveries WHERE id IN `+list+`)`, args,
		func(row scanner) (n router.Notice, err error) {
			var event, at int64
			var body []byte
			err = row.Scan(&event, &at, &body)
			return *readNotice(event, fromMicros(at), router.Info, body), err
		})
	if err != nil {
		return err
	}
	byEvent := map[int64]router.Notice{}
	for _, n := range found {
		byEvent[n.Event] = n
	}
	for _, p := range c.body.Parts {
		if n, ok := byEvent[p.Event]; ok {
			c.n.Digest.Parts = append(c.n.Digest.Parts, router.Summary{Delivery: p.Delivery, Revision: p.Revision,
				Severity: p.Severity, Notice: n})
		}
	}
	return nil
}

func (c *candidate) fillIncidents(ctx context.Context, tx *txn) error {
	list, args := among(c.body.deliveries())
	found, err := shownIncidents(ctx, tx, `number IN (SELECT incident FROM deliveries WHERE id IN `+list+`)`, args...)
	if err != nil {
		return err
	}
	byNumber := map[int64]router.Incident{}
	for _, inc := range found {
		byNumber[inc.Number] = inc
	}
	for _, p := range c.body.Parts {
		if inc, ok := byNumber[p.Incident]; ok { // else it is so old that it was removed
			c.n.Digest.Parts = append(c.n.Digest.Parts, router.Summary{Delivery: p.Delivery, Revision: p.Revision,
				Severity: p.Severity, Told: p.Told, Incident: inc})
		}
	}
	return nil
}

// takeDigest claims all deliveries of a digest, whose attempts are counted on the first. A new one is written down,
// for whoever may have to find out whether it was told.
func (c *candidate) takeDigest(ctx context.Context, tx *txn, until int64) error {
	d := c.n.Digest
	if !d.Unsettled {
		text, err := json.Marshal(c.body)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO digests (id, body) VALUES (?, ?)`, d.ID, string(text)); err != nil {
			return err
		}
	}
	list, args := among(c.body.deliveries())
	if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET claimed_until = ?, claim = ?, digest = ? WHERE id IN `+list,
		append([]any{until, c.n.Claim, d.ID}, args...)...); err != nil {
		return err
	}
	return tx.QueryRowContext(ctx, `UPDATE deliveries SET attempts = attempts + 1 WHERE id = ? RETURNING attempts`,
		c.n.Delivery).Scan(&c.n.Attempt)
}

// settles says whether it is known after an attempt if the digest was told.
func settles(r *router.Result, now int64) bool {
	switch r.State {
	case router.DeliveryDelivered, router.DeliveryCancelled:
		return true
	}
	cut := r.Interrupted && micros(r.NextAt) <= now // short by us, perhaps in the middle
	return !r.Receipt.Unsure && !cut
}

// finishDigest records how a digest ended. Told as open, its incidents wait for a card of their own, behind all that
// matters more; a refusal parks the first, and the others say what it said when their time comes. While nobody knows
// whether it was told, they stay together.
func finishDigest(ctx context.Context, tx *txn, r *router.Result, receipt string, now int64) (renewed bool, err error) {
	digest := r.Digest.ID
	if settles(r, now) {
		digest = ""
	}
	if r.State == router.DeliveryDelivered {
		if renewed, err = unparkAll(ctx, tx, r.Digest.Parts, now); err != nil {
			return false, err
		}
	}
	update := func(p *router.Summary, first bool) (query string, args []any) {
		set, args := ofDigest(r, p, first, receipt, now)
		return `UPDATE deliveries SET claimed_until = 0, updated_at = ?, digest = ?, ` + set + ` WHERE id = ? AND claim = ?`,
			append(append([]any{now, digest}, args...), p.Delivery, r.Claim)
	}
	query, args := update(&r.Digest.Parts[0], true)
	done, err := tx.ExecContext(ctx, query, args...)
	if err == nil { // they were claimed together, and are lost together
		err = stillOurs(done, r.Digest.Parts[0].Delivery)
	}
	if err != nil {
		return false, err
	}
	if others := r.Digest.Parts[1:]; len(others) > 0 {
		query, _ := update(&others[0], false)
		err = each(ctx, tx, others, query, func(p router.Summary) ([]any, error) {
			_, args := update(&p, false)
			return args, nil
		})
		if err != nil {
			return false, err
		}
	}
	if digest == "" {
		_, err = tx.ExecContext(ctx, `DELETE FROM digests WHERE id = ?`, r.Digest.ID)
	} else {
		_, err = tx.ExecContext(ctx, `UPDATE digests SET looks = ? WHERE id = ?`, r.Receipt.Looks, digest)
	}
	return renewed, err
}

// ofDigest is what the end of a digest makes of one of its deliveries: the same for all but the first.
func ofDigest(r *router.Result, p *router.Summary, first bool, receipt string, now int64) (set string, args []any) {
	told, open := toldDigest, true
	switch {
	case r.State == router.DeliveryParked && first:
		set = `last_error = ?, ` + stillFailing + `, ` + parking
		args = []any{r.Error, now, p.Revision, now, micros(r.NextAt), p.Revision}
	case r.State == router.DeliveryParked, r.State == router.DeliveryCancelled:
		set, args = `next_at = ?`, []any{now}
	case r.Interrupted:
		set, args = `last_error = ?, next_at = ?`, []any{r.Error, max(now, micros(r.NextAt))}
	case r.State == router.DeliveryWaiting:
		set, args = `last_error = ?, next_at = ?, `+stillFailing, []any{r.Error, max(now, micros(r.NextAt)), now}
	case r.Digest.Recovered || r.Digest.News:
		open = false
		set = `next_at = ?, have = ?, owed_since = CASE WHEN owed > ? THEN ? ELSE owed_since END,
			state = CASE WHEN owed > ? THEN 'waiting' ELSE 'delivered' END`
		args = []any{now, p.Revision, p.Revision, now, p.Revision}
	default:
		set, args = `next_at = ?, state = 'waiting'`, []any{now}
	}
	if r.State != router.DeliveryDelivered {
		return set + `, class = ` + classSQL("", "", ""), args
	}
	set += `, receipt = ?, last_error = '', attempts = 0, failing_since = 0, told = ?, told_open = ?, told_severity = ?,
		class = ` + classAfter
	args = append(args, receipt, int64(told), toInt(open), int64(p.Severity))
	return set, append(args, classAfterArgs(told, open, p.Severity)...)
}
