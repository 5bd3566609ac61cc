package store_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"flowbridge/router"
)

// TestWhatRunsForEveryDeliveryIsParsedOnce holds that SQLite keeps the statements of those who deliver: parsed anew for
// each of their values they take twice as long.
func TestWhatRunsForEveryDeliveryIsParsedOnce(t *testing.T) {
	t.Parallel()
	q := newQueue(t, opener(func(t *testing.T) string { return filepath.Join(t.TempDir(), "test.db") }))
	card := router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error}
	migrated, _ := q.Parsed(t)
	const rounds = 30
	for n := range int64(rounds) {
		q.owe(chat(n+1, true, router.Error), page(n+1, fmt.Sprint("key ", n)))
		q.deliver("chat", card)
		q.deliver("page", card)
		q.owe(chat(n+1, false, router.Error))
		switch n % 3 {
		case 0:
			q.deliver("chat", card)
		case 1:
			q.fail("chat", 0, time.Second)
		}
		q.pass(time.Second)
	}
	anew, runs := q.Parsed(t)
	most := int64(0)
	for statement, times := range anew {
		most = max(most, runs[statement])
		if times -= migrated[statement]; times > rounds/4 {
			t.Errorf("parsed anew %d times, %d runs:\n%s", times, runs[statement], statement)
		}
	}
	if most < rounds {
		t.Errorf("the statement that ran most ran %d times", most)
	}
}
