package store

import (
	"cmp"
	"encoding/json"
	"time"

	"flowbridge/router"
)

// What is kept as JSON can be damaged, or be of a version that wrote it in another form. One such row must not hold up
// all others: what describes is left out, and what has to be told is told without it. Only the fold reads strictly:
// incidents and alerts say whom a recovery closes, and without that it would close nobody. It sets aside the event that
// it cannot fold, and the fallback is told.

// partLost is said of an incident of which not all can be read.
const partLost = "Part of what flowbridge kept of this incident cannot be read: its name and what the rules say of it."

// legibly makes scan leave out JSON that cannot be read.
func legibly[T any](scan func(scanner) (T, error)) func(scanner) (T, error) {
	return func(row scanner) (T, error) { return scan(legibleRow{row}) }
}

type legibleRow struct{ scanner }

func (r legibleRow) Scan(dests ...any) error {
	for i, dest := range dests {
		if strict, ok := dest.(storedJSON); ok {
			dests[i] = legibleJSON(strict)
		}
	}
	return r.scanner.Scan(dests...)
}

type legibleJSON storedJSON

func (j legibleJSON) Scan(v any) error {
	if storedJSON(j).Scan(v) == nil {
		return nil
	}
	switch part := j.at.(type) {
	case *incidentDetails:
		part.Text = cmp.Or(part.Text, partLost)
	case *router.Receipt:
		*part = router.Receipt{}
	case *router.Silence: // half of one might silence more
		*part = router.Silence{}
	case *[]router.Event:
		*part = nil
	}
	return nil
}

// storedReceipt reads a receipt of which something hangs. One that cannot be read is as after an attempt without a
// clear answer: what the service has of the delivery is to be found out there.
type storedReceipt struct {
	at   *router.Receipt
	lost *bool
}

func (r storedReceipt) Scan(v any) error {
	if *r.lost = (storedJSON{r.at}).Scan(v) != nil; *r.lost {
		*r.at = router.Receipt{Unsure: true}
	}
	return nil
}

// readNotice returns a notice, and one that says so where what is kept of it cannot be read.
func readNotice(event int64, at time.Time, severity router.Severity, body []byte) *router.Notice {
	var n router.Notice
	if json.Unmarshal(body, &n) != nil {
		n = router.Illegible(event, at, severity)
	}
	return &n
}
