package store

import (
	"context"
	"errors"
	"fmt"

	"flowbridge/router"
)

// telling is what was told of a delivery: the column told.
type telling int64

const (
	toldNothing telling = iota
	toldCard            // something of its own is at the service, or may be
	toldDigest          // a digest told of it
)

// classSQL computes a delivery's router.Class from its row. The prefixes name where the columns come from: what it
// is owed (open, severity), what was told (told, told_open, told_severity) and what it is about (incident).
func classSQL(owed, told, row string) string {
	return classOf(owed, row, told+"told", told+"told_open", told+"told_severity")
}

// classAfter computes it for a row in which what was told is about to be replaced; classAfterArgs are its arguments.
var classAfter = classOf("", "", integer, integer, integer)

// integer is a parameter where a database cannot tell its type. It is also one by whose value SQLite does not choose
// how to go about a statement: where a bare one is compared with what a partial index is about, or with what may be a
// small number, the statement is parsed anew for each value, which takes longer than to run it.
const integer = "CAST(? AS BIGINT)"

func classAfterArgs(told telling, open bool, severity router.Severity) []any {
	return []any{int64(told), toInt(open), int64(told), toInt(open), int64(severity), int64(told)}
}

func classOf(owed, row, told, toldOpen, toldSeverity string) string {
	return fmt.Sprintf(`CASE
		WHEN %[3]sincident = 0 THEN
			CASE WHEN %[1]sseverity >= %[4]d THEN %[5]d WHEN %[1]sseverity <= %[12]d THEN %[13]d ELSE %[7]d END
		WHEN %[1]sopen = 0 AND %[2]s = %[10]d AND %[14]s = 0 THEN %[8]d
		WHEN %[1]sopen = 0 AND %[3]skeyed = 1 AND %[2]s = %[16]d AND %[3]smay_exist = 0 THEN %[8]d
		WHEN %[1]sopen = 0 THEN %[6]d
		WHEN %[14]s = 0 THEN %[5]d
		WHEN %[1]sseverity > %[15]s THEN %[7]d
		WHEN %[2]s = %[11]d THEN %[9]d
		ELSE %[8]d END`, owed, told, row, router.Error,
		router.ClassNew, router.ClassResolved, router.ClassWorse, router.ClassUpdate, router.ClassDigested,
		toldCard, toldDigest, router.Info, router.ClassNews, toldOpen, toldSeverity, toldNothing)
}

// firstClass is the same for a delivery of which nothing is told yet.
func firstClass(o *router.Owed) router.Class {
	switch {
	case o.Incident == 0 && o.Severity <= router.Info:
		return router.ClassNews
	case o.Incident == 0 && o.Severity < router.Error:
		return router.ClassWorse
	case o.Incident != 0 && !o.Open && o.Target.Kind.Keyed():
		return router.ClassUpdate
	case o.Incident != 0 && !o.Open:
		return router.ClassResolved
	}
	return router.ClassNew
}

// classify brings the class of a delivery in line with its row, which has just changed.
func classify(ctx context.Context, tx *txn, id int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE deliveries SET class = `+classSQL("", "", "")+` WHERE id = ?`, id)
	return err
}

// liftQuery does so for one delivery. It leaves PostgreSQL one way to find that, by its key, and one to find those
// before it. As a join it began with all that waits while its statistics said that nothing does: 17 ms each, until it
// looked at the table anew. Asked for what waits, the delivery was sought among all of its notifier: 0.7 ms.
const liftQuery = `WITH o AS MATERIALIZED (SELECT id, target, key, class, state FROM deliveries
		WHERE incident = ? AND event = ? AND notifier = ?)
	UPDATE deliveries SET class = (SELECT class FROM o)
		WHERE state = 'waiting' AND target = (SELECT target FROM o WHERE state = 'waiting') AND key = (SELECT key FROM o)
		AND id < (SELECT id FROM o) AND class > (SELECT class FROM o)`

// lowerQuery gives those that wait under the key of a page the class that is theirs, or that of what waits for them. In
// a channel a digest tells of what is over.
var lowerQuery = `WITH o AS MATERIALIZED (SELECT target, key, keyed FROM deliveries
		WHERE incident = ? AND event = ? AND notifier = ?),
	w AS MATERIALIZED (SELECT d.id, min(` + classSQL("d.", "d.", "d.") + `) OVER (ORDER BY d.id DESC) AS class
		FROM deliveries d
		WHERE d.state = 'waiting' AND d.target = (SELECT target FROM o WHERE keyed = 1) AND d.key = (SELECT key FROM o))
	UPDATE deliveries SET class = w.class FROM w WHERE deliveries.id = w.id AND deliveries.class <> w.class`

// lift makes older deliveries of a target and key matter as much as the younger ones that wait for them: a new page
// must not stand behind a thousand recoveries only because one of them goes before it. Only what a batch owes may have
// come to matter more. Where that has ended they matter less again, or they would stand before all that is new.
func lift(ctx context.Context, tx *txn, owed []router.Owed) error {
	var open, over []router.Owed
	for _, o := range owed {
		if o.Incident != 0 && !o.Open {
			over = append(over, o)
		} else {
			open = append(open, o)
		}
	}
	names := func(o router.Owed) ([]any, error) { return []any{o.Incident, o.Event(), o.Target.Notifier}, nil }
	return errors.Join(each(ctx, tx, open, liftQuery, names), each(ctx, tx, over, lowerQuery, names))
}
