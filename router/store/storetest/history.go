//go:build unix

package storetest

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

// Remember fills an empty database of the newest schema with so many incidents, of which the last 200 are open, each
// with an alert, a timeline of three and two deliveries. Every thousandth has the label team=rare and the word needle,
// and so many events stand in the journal, three for an incident.
func Remember(t testing.TB, dsn string, incidents int) {
	t.Helper()
	driver, after := "sqlite", []string{"PRAGMA wal_checkpoint(TRUNCATE)"} // not ANALYZE: a bridge leaves it so
	if strings.HasPrefix(dsn, "postgres") {
		driver, after = "pgx", []string{"VACUUM ANALYZE", "CHECKPOINT"}
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const (
		numbers = `WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < %d) `
		details = `{"flow_name":"Checkout","labels":{"team":"payments"},"runbook":"https://runbooks.example.com/checkout","path":["5","10","50"],` +
			`"watch":[{"notifier":"chat","severity":"error","target":"slack/0123456789abcdef","opening":1},{"notifier":"page","severity":"error","target":"pagerduty/0123456789abcdef","opening":1}],` +
			`"acts":{"acknowledgement":"2026-03-02T12:00:00Z"},"pageable":["page"],"links":[{"notifier":"page","id":"PT4KHLK","number":42,"url":"https://example.pagerduty.com/incidents/PT4KHLK"}]}`
	)
	for _, query := range append([]string{
		fmt.Sprintf(numbers+`INSERT INTO events (digest, received_at, state, outcome, body)
			SELECT 'd'||i, 1772000000000000 + i * 1000000, 'folded', 'opened INC-1', '{"source":"meta","waba":"1","flow":"'||((i / 3) %% 500)||'","name":"ENDPOINT_ERROR_RATE","value":{"event":"ENDPOINT_ERROR_RATE","threshold":10}}' FROM n`, 3*incidents),
		fmt.Sprintf(numbers+
			`INSERT INTO incidents (number, key, waba, flow, event, state, severity, peak, rule, events, revision, entries, opened_at, resolved_at, resolved_by,
			acknowledged_at, acknowledged_by, details, labels, words)
			SELECT i, 'flowbridge/1/'||i||'/E', '1', CAST(i %% 500 AS TEXT), 'ENDPOINT_ERROR_RATE', CASE WHEN i > %d THEN 'open' ELSE 'resolved' END, 1 + i %% 4, 1 + i %% 4, 'r', 3, 3, 3, 1772000000000000 + i * 3000000,
			CASE WHEN i > %d THEN 0 ELSE 1772000001000000 + i * 3000000 END, '', 0, '', '%s',
			CASE WHEN i %% 1000 = 0 THEN '
team=rare
' ELSE '
team=payments
' END, CASE WHEN i %% 1000 = 0 THEN 'checkout needle' ELSE 'checkout' END FROM n`, incidents, incidents-200,
			incidents-200, details),
		fmt.Sprintf(numbers+
			`INSERT INTO alerts (waba, flow, event, level, active, raised_at, cleared_at, since, until, opened_by, closed_by, severity, incident, key, details)
			SELECT '1', 'f'||i, 'ENDPOINT_ERROR_RATE', '10', 1, 1772000000000000, 0, 1772000000000000, 0, i * 3 - 2, i * 3, 3, i, 'k', '{}' FROM n`, incidents),
		fmt.Sprintf(numbers+`INSERT INTO timeline (incident, n, at, recorded_at, kind, text, event)
			SELECT (i - 1) / 3 + 1, (i - 1) %% 3 + 1, 1772000000000000, 1772000000000000, 'opened', 'Endpoint error rate reached 10 %%', i FROM n`, 3*incidents),
		fmt.Sprintf(numbers+
			`INSERT INTO deliveries (incident, event, notifier, key, kind, channel, routing_key, open, severity, owed, have, state, next_at, receipt, updated_at)
			SELECT (i - 1) / 2 + 1, 0, CASE i %% 2 WHEN 0 THEN 'chat' ELSE 'page' END, 'flowbridge/1/'||((i - 1) / 2 + 1)||'/E', 'slack', '#ops', '', 1, 3, 1, 1,
			CASE WHEN i %% 997 = 0 THEN 'parked' ELSE 'delivered' END, 0, '{"ts":"1","told":3}', 1772000000000000 FROM n`,
			2*incidents),
	}, after...) {
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
}
