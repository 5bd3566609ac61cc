package store

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
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
	known, _ := s.d.standing(2)
	around := readAlerts + aroundIncident
	for query, want := range map[string]string{
		waitingQuery:                                  "SEARCH events USING INDEX events_unfolded",
		`SELECT * FROM incidents WHERE ` + known:      "SEARCH incidents USING INDEX incidents_unresolved",
		`SELECT number FROM incidents WHERE ` + known: "SEARCH incidents USING INDEX incidents_reopened",
		`SELECT coalesce(min(wake_at), 0) FROM incidents WHERE wake_at > 0`: "SEARCH incidents USING COVERING INDEX " +
			"incidents_wake",
		backlogQuery:                "SCAN deliveries USING COVERING INDEX deliveries_turn",
		liftQuery:                   "INDEX deliveries_waiting (target=? AND key=? AND id<?)",
		lowerQuery:                  "SEARCH d USING INDEX deliveries_waiting (target=? AND key=?)",
		takenQuery(3):               "SEARCH deliveries USING INDEX deliveries_key",
		ownComingQuery:              "SEARCH deliveries USING COVERING INDEX deliveries_next",
		manyDigestedQuery:           "SEARCH deliveries USING COVERING INDEX deliveries_turn",
		waitingNotifiers:            "SCAN deliveries USING COVERING INDEX deliveries_turn",
		headQuery:                   "events_unfolded",
		triedQuery:                  "deliveries_claimed",
		mostImportant.query(s.d, 2): "SEARCH d USING INDEX deliveries_turn (notifier=? AND class=?)",
		owedLongest.query(s.d, 2):   "SEARCH d USING INDEX deliveries_turn (notifier=? AND class=?)",
		leavesQuery:                 "SEARCH deliveries USING INDEX deliveries_turn (notifier=? AND class=?)",
		extendQuery(s.d):            "SEARCH deliveries USING INDEX deliveries_claimed (notifier=? AND claimed_until>?)",
		longestParked.query(s.d, 2): "SEARCH d USING INDEX deliveries_probes",
		around:                      "INDEX sqlite_autoindex_alerts_1 (waba=? AND flow=?)",
		`SELECT (` + replacing + `) FROM deliveries d`: "SEARCH n USING INDEX deliveries_key",
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
	ownTimes := strings.Join(strings.Split(ownComingQuery, "\n\t\tUNION ALL ")[1:3], " UNION ALL ")
	program, err := all(context.Background(), s.read, "EXPLAIN "+ownTimes, []any{"ops", 1, "ops", 1},
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
	known, _ := s.d.standing(2)
	for _, tt := range []struct {
		query string
		args  []any
		by    []string
	}{
		{`SELECT * FROM incidents WHERE ` + known + ` ORDER BY number`, []any{"w", "f7", "w", "f8"},
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

// TestPostgresHasOneWayToWhatWaits looks at how PostgreSQL goes about what the fold and the lanes ask, whatever it
// knows of the tables: what waits comes and goes faster than its statistics, and while they say that nothing waits it
// may take any index that holds only that, from one end to the other. A session keeps such a plan.
func TestPostgresHasOneWayToWhatWaits(t *testing.T) {
	t.Parallel()
	s, ctx := openFull(t, storetest.Shared(t).Database(t)), context.Background()
	const (
		byID    = "deliveries_pkey: id"
		byTurn  = "deliveries_turn: notifier class"
		line    = "deliveries_waiting: target key" // of those that wait under one key, which are few
		tried   = "deliveries_tried: target key"
		claimed = "deliveries_claimed: notifier claimed_until"
		owed    = "deliveries_incident_event_notifier_key: incident event notifier"
		parked  = "deliveries_parked:" // all that needs a person, which is little

		putOffWay = "deliveries_next: notifier next_at"

		ofIncident = "deliveries_incident_event_notifier_key: incident"
	)
	known, _ := s.d.standing(4)
	queries := []struct {
		name, query string
		ways        []string
	}{
		{"known", `SELECT * FROM incidents WHERE ` + known, []string{"incidents_unresolved: waba flow",
			"incidents_reopened: waba flow", "alerts_pkey: waba flow", "incidents_pkey: number"}},
		{"alerts", s.d.standingAlerts(4), []string{"alerts_pkey: waba flow"}},
		{"lift", liftQuery, []string{owed, line + " id class"}},
		{"lower", lowerQuery, []string{owed, line, byID}},
		{"locks", lockQuery(lockOwedQuery), []string{byID, owed, line}},
		{"pauses", ownPausesQuery, []string{claimed}},
		{"coming", ownComingQuery, []string{byTurn, line, tried, "deliveries_next: notifier next_at", claimed,
			"deliveries_probes: notifier", parked}},
		{"digested", manyDigestedQuery, []string{byTurn}},
		{"in flight", inFlightQuery, []string{claimed}},
		{"pick", mostImportant.query(s.d, 2), []string{byTurn, "deliveries_critical: notifier", line, tried}},
		{"pick by age", owedLongest.query(s.d, 2), []string{byTurn, line, tried}},
		{"probe", longestParked.query(s.d, 2),
			[]string{"deliveries_probes: notifier class next_at next_at", parked, line, tried}},
		{"digest", digestibleQuery, []string{byTurn, line, tried}},
		{"extend", extendQuery(s.d), []string{byID, claimed}},
		{"leaves", leavesQuery, []string{byTurn, "deliveries_probes: notifier", parked}},
		{"line", sameLineQuery, []string{byID, line}},
		{"incident", sameIncidentQuery, []string{byID, ofIncident}},
		{"others", othersQuery, []string{ofIncident, "lanes_pkey: notifier", byID}},
		{"pages", renewPagesQuery, []string{ofIncident}},
		{"linked", linkedQuery, []string{"links_id: id", "incidents_pkey: number", ofIncident,
			ofIncident + " notifier"}},
		{"taken", takenQuery(3), []string{"deliveries_key: key"}},
		{"finished", lockQuery(finishedQuery(true, true)), []string{byID, ofIncident, parked, putOffWay}},
		{"back", backQuery, []string{byID, putOffWay}},
		{"freed", freeQuery, []string{byID, parked, "deliveries_key: key id"}},
		{"over", `DELETE FROM incidents AS i WHERE ` + itIsOver, []string{"incidents_pkey: number number",
			"incidents_pkey: number", "incidents_pkey:", ofIncident, "alerts_incident: incident"}},
		{"around", readAlerts + aroundIncident, []string{"alerts_pkey: waba flow", "alerts_incident: incident",
			"incidents_pkey: number"}},
	}
	const ofIncidents = `INSERT INTO incidents (number, key, waba, flow, event, state, severity, peak, rule, events, revision,
		entries, opened_at, resolved_at, resolved_by, acknowledged_at, acknowledged_by, wake_at, details)
		SELECT i, 'k', 'w', 'f' || i, 'E', '%s', 1, 1, 'r', 1, 1, 1, 1, 0, '', 0, '', 0, '{}'
		FROM (SELECT generate_series(%d, %d)) AS n (i)`
	alerts := `INSERT INTO alerts (` + alertColumns(&router.FlowAlert{}, nil).read() + `)
		SELECT 'w', 'f' || i, 'E', '5', 1, 1, 0, 1, 0, 0, i, 0, 1, i, 'k', '{}' FROM (SELECT generate_series(1, 20000)) AS n (i)`
	insert := func(from, to int, state string) string {
		return fmt.Sprintf(`INSERT INTO deliveries (incident, event, key, notifier, kind, channel, routing_key, target, state,
			owed, next_at, open, severity, class, owed_since, updated_at) SELECT i, 0, 'k' || i, 'ops' || i %% 50, 'slack', '#ops',
			'', 't' || i %% 50, '%s', 1, 1, 1, 1, 0, i, 1 FROM (SELECT generate_series(%d, %d)) AS n (i)`, state, from, to)
	}
	const links = `INSERT INTO links (incident, notifier, key, id, number, url, stale)
		SELECT i, 'ops' || i % 50, 'k' || i, 'L' || i, i, '', 0 FROM (SELECT generate_series(1, 20000)) AS n (i)`
	for _, known := range []struct{ name, fill string }{
		{"nothing yet", `SELECT 1`},
		{"a quiet day", insert(1, 20_000, "delivered") + "; " + fmt.Sprintf(ofIncidents, "resolved", 1, 20_000) + `; ANALYZE`},
		{"a storm after it", insert(20_001, 40_000, "waiting") + "; " + fmt.Sprintf(ofIncidents, "open", 20_001, 40_000) +
			"; " + alerts + "; " + links},
		{"a storm", `ANALYZE`},
	} {
		for one := range strings.SplitSeq(known.fill, "; ") {
			if _, err := s.write.ExecContext(ctx, one); err != nil {
				t.Fatal(err)
			}
		}
		for _, q := range queries {
			plan := genericPlan(t, s, q.query)
			for _, way := range waysOf(plan) {
				if !slices.Contains(q.ways, way) {
					t.Errorf("%s: %s finds rows by %s:\n%s", known.name, q.name, way, plan)
				}
			}
		}
	}
}

var (
	scanned    = regexp.MustCompile(`(Seq Scan|(?:using|Bitmap Index Scan on) (\S+)) .*\n(?: *(?:Index|Recheck) Cond: (.*))?`)
	condColumn = regexp.MustCompile(`\((\w+) [=<>]`)
)

// waysOf are the indexes by which a plan finds rows, each with the columns that it looks for.
func waysOf(plan string) (ways []string) {
	for _, scan := range scanned.FindAllStringSubmatch(plan, -1) {
		if strings.Contains(scan[0], " lanes") || strings.Contains(scan[0], "waits") {
			continue // which are few
		}
		way := cmp.Or(scan[2], scan[1]) + ":"
		for _, column := range condColumn.FindAllStringSubmatch(scan[3], -1) {
			way += " " + column[1]
		}
		ways = append(ways, way)
	}
	return ways
}

// genericPlan is the plan that a session keeps for a statement, whatever its parameters.
func genericPlan(t *testing.T, s *Store, query string) string {
	t.Helper()
	ctx := context.Background()
	conn, err := s.write.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	nulls := strings.TrimPrefix(strings.Repeat(", NULL", strings.Count(query, "?")), ", ")
	for _, one := range []string{`SET plan_cache_mode = force_generic_plan`, `PREPARE asked AS ` + s.d.rebind(query)} {
		if _, err := conn.ExecContext(ctx, one); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := all(ctx, &session{conn, s.d}, `EXPLAIN EXECUTE asked (`+nulls+`)`, nil, scanText)
	if err == nil {
		_, err = conn.ExecContext(ctx, `DEALLOCATE asked`)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}
