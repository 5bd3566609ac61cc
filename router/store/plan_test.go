package store

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flowbridge/router"
	"flowbridge/router/store/storetest"
)

// TestWhatRunsForEveryBatchLeavesTheJournalAlone looks at how SQLite goes about the queries that are asked for every
// batch: it finds what waits by the index of what waits, not among all that ever was.
func TestWhatRunsForEveryBatchLeavesTheJournalAlone(t *testing.T) {
	t.Parallel()
	s := openFull(t, filepath.Join(t.TempDir(), "plan.db"))
	for query, want := range map[string]string{
		waitingQuery: "SEARCH events USING INDEX events_unfolded",
		`SELECT * FROM incidents WHERE ` + standing(
			`(waba, flow) IN (VALUES (?, ?), (?, ?))`): "SEARCH incidents USING INDEX incidents_unresolved",
		`SELECT number FROM incidents WHERE ` +
			standing(`(waba, flow) IN (VALUES (?, ?), (?, ?))`): "SEARCH incidents USING INDEX incidents_reopened",
		`SELECT coalesce(min(wake_at), 0) FROM incidents WHERE wake_at > 0`: "SEARCH incidents USING COVERING INDEX " +
			"incidents_wake",
		backlogQuery:      "SCAN deliveries USING COVERING INDEX deliveries_turn",
		liftQuery:         "INDEX deliveries_waiting (target=? AND key=? AND id<?)",
		takenQuery(3):     "SEARCH deliveries USING INDEX deliveries_key",
		ownTimesQuery:     "SEARCH deliveries USING COVERING INDEX deliveries_next",
		manyDigestedQuery: "SEARCH deliveries USING COVERING INDEX deliveries_turn",
		waitingNotifiers:  "SCAN deliveries USING COVERING INDEX deliveries_turn",
		headQuery:         "events_unfolded",
		triedQuery:        "deliveries_claimed",
		`SELECT 1 FROM deliveries d WHERE d.notifier = ? AND d.class IN (?, ?) AND ` + claimable +
			` LIMIT 1`: "SEARCH d USING INDEX deliveries_turn (notifier=? AND class=?)",
		ownProbesQuery: "SEARCH deliveries USING COVERING INDEX deliveries_probes",
		`SELECT d.id FROM deliveries d WHERE d.notifier = ? AND ` + probeable +
			` AND d.class IN (?, ?) ORDER BY d.class, d.next_at, d.id LIMIT 1`: "SEARCH d USING INDEX deliveries_probes",
		`SELECT (` + replacing + `) FROM deliveries d WHERE d.id = ?`: "SEARCH n USING INDEX deliveries_key",
		oldIncidents:   "SEARCH i USING INDEX incidents_resolved",
		refreshedQuery: "SCAN timeline USING COVERING INDEX timeline_refreshed",
	} {
		plan, err := all(context.Background(), s.read, "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?")),
			func(row scanner) (step string, err error) {
				var ignored int
				err = row.Scan(&ignored, &ignored, &ignored, &step)
				return step, err
			})
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		text := strings.Join(plan, "\n")
		if !strings.Contains(text, want) || strings.Contains(text, "SCAN events") ||
			strings.Contains(text, "SCAN incidents") {
			t.Errorf("%s\ngoes about it so:\n%s\nwant: %s", query, text, want)
		}
	}
}

// TestWhatIsDueNextIsFoundAtOnce holds that what waits is not gone through for it: SQLite compares no row with the
// bound.
func TestWhatIsDueNextIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	s := openFull(t, filepath.Join(t.TempDir(), "plan.db"))
	args := []any{"ops", 1, "ops", 1}
	program, err := all(context.Background(), s.read, "EXPLAIN "+ownTimesQuery, args,
		func(row scanner) (op string, err error) {
			var step, p1, p2, p3, p5 int
			var p4, comment *string
			err = row.Scan(&step, &op, &p1, &p2, &p3, &p4, &p5, &comment)
			return op, err
		})
	if err != nil || !slices.Contains(program, "SeekGT") || slices.Contains(program, "Le") {
		t.Errorf("it goes about it so: %v %v", program, err)
	}
}

// TestASweepAsksOfOldEventsByIndex looks at how both databases find out whether an old event is needed, in one that has
// served for long: by its position alone, whatever the timelines of open incidents hold.
func TestASweepAsksOfOldEventsByIndex(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, dsn, explain string
		by                 []string
	}{
		{"SQLite", filepath.Join(t.TempDir(), "plan.db"), "EXPLAIN QUERY PLAN ", []string{
			"SEARCH e USING INTEGER PRIMARY KEY", "SEARCH t USING INDEX timeline_event", "SEARCH a USING INDEX alerts_opened",
			"SEARCH a USING INDEX alerts_closed", "SEARCH i USING INDEX "}},
		{"PostgreSQL", "", "EXPLAIN ", []string{
			"Index Scan using events_pkey", "Index Scan using timeline_event", "alerts_opened", "alerts_closed",
			"on incidents i "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.dsn == "" {
				tt.dsn = storetest.Shared(t).Database(t)
			}
			s, ctx := openFull(t, tt.dsn), context.Background()
			const numbers = `WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < 20000) `
			for _, query := range []string{
				numbers + `INSERT INTO events (digest, received_at, state, body) SELECT 'e' || i, 1, 'folded', '{}' FROM n`,
				numbers +
					`INSERT INTO incidents (number, key, waba, flow, event, state, severity, peak, rule, events, revision, entries, opened_at,
					resolved_at, resolved_by, acknowledged_at, acknowledged_by, wake_at, details)
					SELECT i, 'k', 'w', 'f' || i, 'E', 'open', 1, 1, 'r', 1, 1, 1, 1, 0, '', 0, '', 0, '{}' FROM n WHERE i <= 10000`,
				numbers +
					`INSERT INTO timeline (incident, n, at, recorded_at, kind, text, event) SELECT i / 2 + 1, i % 2, 1, 1, 'eased', '', i FROM n`,
				numbers + `INSERT INTO alerts (` + alertColumns(&router.FlowAlert{}, nil).read() + `)
					SELECT 'w', 'f' || i, 'E', '5', 1, 1, 0, 1, 0, 0, i, 0, 1, i, 'k', '{}' FROM n WHERE i <= 10000`,
				`ANALYZE`,
			} {
				if query == `ANALYZE` && tt.name == "SQLite" {
					continue // as a bridge leaves it
				}
				if _, err := s.write.ExecContext(ctx, query); err != nil {
					t.Fatal(err)
				}
			}
			query := tt.explain + strings.Replace(strings.Replace(oldEvents, "?", "0", 1), "?", "500", 1)
			plan, err := all(ctx, s.read, query, nil, func(row scanner) (step string, err error) {
				var ignored int
				if tt.name == "SQLite" {
					err = row.Scan(&ignored, &ignored, &ignored, &step)
					return step, err
				}
				err = row.Scan(&step)
				return step, err
			})
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(plan, "\n")
			for _, want := range tt.by {
				if !strings.Contains(text, want) {
					t.Errorf("want: %s", want)
				}
			}
			if t.Failed() || strings.Contains(text, "SCAN ") || strings.Contains(text, "Seq Scan") ||
				strings.Contains(text, "hashed") {
				t.Errorf("it goes about it so:\n%s", text)
			}
		})
	}
}

// TestAStormOnPostgresIsFoldedAndToldByIndex looks at how PostgreSQL goes about what is asked for every batch and every
// digest, with many incidents and deliveries.
func TestAStormOnPostgresIsFoldedAndToldByIndex(t *testing.T) {
	t.Parallel()
	s, ctx := openFull(t, storetest.Shared(t).Database(t)), context.Background()
	const numbers = `WITH n (i) AS (SELECT generate_series(1, 20000)) `
	for _, query := range []string{
		numbers + `INSERT INTO incidents (number, key, waba, flow, event, state, severity, peak, rule, events, revision, entries,
			opened_at, resolved_at, resolved_by, acknowledged_at, acknowledged_by, wake_at, details)
			SELECT i, 'k', 'w', 'f' || i, 'E', 'open', 1, 1, 'r', 1, 1, 1, 1, 0, '', 0, '', 0, '{}' FROM n`,
		numbers + `INSERT INTO alerts (` + alertColumns(&router.FlowAlert{}, nil).read() + `)
			SELECT 'w', 'f' || i, 'E', '5', 1, 1, 0, 1, 0, 0, i, 0, 1, i, 'k', '{}' FROM n`,
		numbers + `INSERT INTO deliveries (incident, event, key, notifier, kind, channel, routing_key, target, state, owed,
			next_at, open, severity, class, owed_since, updated_at)
			SELECT i, 0, 'k' || i, 'ops', 'slack', '#ops', '', 't', 'waiting', 1, 1, 1, 1, 0, i, 1 FROM n`,
		numbers + `INSERT INTO notices (event, body) SELECT i, '{}' FROM n`,
		numbers + `INSERT INTO deliveries (incident, event, key, notifier, kind, channel, routing_key, target, state, owed,
			next_at, open, severity, class, owed_since, updated_at)
			SELECT 0, i, 'n' || i, 'ops', 'slack', '#ops', '', 't', 'waiting', 1, 1, 1, 1, 6, i, 1 FROM n`,
		`ANALYZE`,
	} {
		if _, err := s.write.ExecContext(ctx, query); err != nil {
			t.Fatalf("%v\n%s", err, query)
		}
	}
	flows := `(waba, flow) IN (VALUES ('w', 'f7'), ('w', 'f8'))`
	for _, tt := range []struct {
		query string
		args  []any
		by    []string
	}{
		{`SELECT * FROM incidents WHERE ` + standing(flows) + ` ORDER BY number`, nil,
			[]string{"incidents_unresolved", "incidents_reopened", "alerts_pkey", "incidents_pkey"}},
		{digestibleQuery, []any{"ops", 0, "slack", "#ops", 2, 1, 1, 1000, 2, 2, 500},
			[]string{"Index Scan using deliveries_turn", "deliveries_waiting", "deliveries_tried"}},
		{digestibleNewsQuery, []any{"ops", 6, "slack", "#ops", 2, 1000, 2, 2, 500},
			[]string{"Index Scan using deliveries_turn", "notices_pkey"}},
	} {
		plan, err := all(ctx, s.read, "EXPLAIN "+tt.query, tt.args, func(row scanner) (step string, err error) {
			err = row.Scan(&step)
			return step, err
		})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(plan, "\n")
		missing := slices.DeleteFunc(tt.by, func(by string) bool { return strings.Contains(text, by) })
		if len(missing) > 0 || strings.Contains(text, "Seq Scan") {
			t.Errorf("it goes about it so, without %q:\n%s", missing, text)
		}
	}
}
