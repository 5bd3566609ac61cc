//go:build unix

package storetest

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // driver pgx
	_ "modernc.org/sqlite"             // driver sqlite
)

// OnEach runs a benchmark over each database, as it is set up for real: what is committed is on disk. fresh names a new
// one.
func OnEach(b *testing.B, bench func(b *testing.B, fresh func(b *testing.B) string)) {
	b.Run("db=sqlite", func(b *testing.B) {
		bench(b, func(b *testing.B) string { return filepath.Join(b.TempDir(), "bench.db") })
	})
	b.Run("db=postgres", func(b *testing.B) {
		server := Start(b, "fsync=on", "shared_buffers=256MB", "max_wal_size=4GB")
		bench(b, func(b *testing.B) string { return server.Database(b) })
	})
}

// What Grow fills a database with.
const (
	grownEvents    = 1_000_000
	grownIncidents = 10_000 // open, each told to two notifiers
)

// Grow fills an empty database of the newest schema like one that has served for long, in a few statements.
func Grow(t testing.TB, dsn string) {
	t.Helper()
	driver, after := "sqlite", []string{"ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"}
	if strings.HasPrefix(dsn, "postgres") {
		// what follows such a load in the background is not what is measured
		driver, after = "pgx", []string{"VACUUM ANALYZE", "CHECKPOINT"}
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const (
		numbers = `WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < %d) `
		pad     = `CASE WHEN i < 10 THEN '000000' WHEN i < 100 THEN '00000' WHEN i < 1000 THEN '0000' WHEN i < 10000 THEN '000' WHEN i < 100000 THEN '00' WHEN i < 1000000 THEN '0' ELSE '' END || i`
		value   = `{"event":"ENDPOINT_ERROR_RATE","message":"The endpoint error rate has reached the 10%% threshold in the last 30 minutes","flow_id":"1987937931743377","error_rate":14.28,"threshold":10,"alert_state":"ACTIVATED","errors":[{"error_type":"TIMEOUT","error_rate":66.66,"error_count":2}]}`
	)
	for _, query := range append([]string{
		fmt.Sprintf(numbers+`INSERT INTO events (digest, received_at, state, outcome, body)
			SELECT '177'||`+pad+
			`||'-0123456789abcdef0123456789abcdef', 1772000000000000 + i * 1000000, 'folded', 'opened INC-1', '{"source":"meta","name":"ENDPOINT_ERROR_RATE","value":`+value+`}' FROM n`, grownEvents),
		fmt.Sprintf(numbers+
			`INSERT INTO incidents (number, key, waba, flow, event, state, severity, peak, rule, events, revision, entries, opened_at, resolved_at, resolved_by, acknowledged_at, acknowledged_by, details)
			SELECT i, 'flowbridge/1/'||i||'/E', '1', 'f'||i, 'E', 'open', 3, 3, 'r', 3, 3, 3, 1772000000000000, 0, '', 0, '', '{"flow_name":"Checkout"}' FROM n`, grownIncidents),
		fmt.Sprintf(numbers+
			`INSERT INTO alerts (waba, flow, event, level, active, raised_at, cleared_at, since, until, opened_by, closed_by, severity, incident, key, details)
			SELECT '1', 'f'||i, 'E', '10', 1, 1772000000000000, 0, 1772000000000000, 0, i, 0, 3, i, 'k', '{}' FROM n`,
			grownIncidents),
		fmt.Sprintf(numbers+`INSERT INTO timeline (incident, n, at, recorded_at, kind, text, event)
			SELECT (i - 1) / 3 + 1, (i - 1) %% 3 + 1, 1772000000000000, 1772000000000000, 'opened', 'Endpoint error rate reached 10 %%', i FROM n`, 3*grownIncidents),
		fmt.Sprintf(numbers+
			`INSERT INTO deliveries (incident, event, notifier, key, kind, channel, routing_key, open, severity, owed, have, state, next_at, receipt, updated_at)
			SELECT (i - 1) / 2 + 1, 0, CASE i %% 2 WHEN 0 THEN 'chat' ELSE 'page' END, 'flowbridge/1/'||((i - 1) / 2 + 1)||'/E', 'slack', '#ops', '', 1, 3, 1, 1, 'delivered', 0, '{"ts":"1","told":3}', 1772000000000000 FROM n`, 2*grownIncidents),
	}, after...) {
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
}
