package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox"
	databases "flowbridge/router/store/storetest"
)

// TestReadinessFailsWhileNobodyIsTold holds that a bridge that takes posts and tells nobody of them says so, and why.
func TestReadinessFailsWhileNobodyIsTold(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T, db string) (*services, *process) {
		t.Helper()
		s := newServices(t, "#ops")
		s.env = append(s.env, "FLOWBRIDGE_STALLED_AFTER=300ms")
		p := start(t, s, writeRules(t, crashRules), db)
		eventually(t, "it is ready", func() bool { return p.readiness(t) == http.StatusOK })
		return s, p
	}
	says := func(t *testing.T, p *process, why string) {
		t.Helper()
		eventually(t, "/readyz says: "+why, func() bool {
			return strings.Contains(getText(t, p.Admin+"/readyz"), why) && p.readiness(t) == http.StatusServiceUnavailable
		})
	}
	isWell := func(t *testing.T, s *services, p *process) {
		t.Helper()
		eventually(t, "both services are told",
			func() bool { return len(rootsOf(s.Slack)) == 1 && len(s.PagerDuty.Incidents()) == 1 })
		eventually(t, "/readyz says yes again", func() bool { return p.readiness(t) == http.StatusOK })
	}
	post := pairPost(lately, "77", "ACTIVATED", 50)

	t.Run("the fold fails again and again", func(t *testing.T) {
		t.Parallel()
		path := databases.File(t)
		s, p := begin(t, path)
		db := openDatabase(t, "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
		run(t, db, `ALTER TABLE timeline RENAME TO gone`)
		p.post(t, post, http.StatusOK)
		says(t, p, "this process has the right to")
		if text := getText(t, p.Admin+"/metrics"); hasLine(text, "flowbridge_fold_stalled_seconds 0") ||
			!hasLine(text, "flowbridge_folds 1") {
			t.Errorf("the metrics do not show that the journal is not folded:\n%s", text)
		}
		run(t, db, `ALTER TABLE gone RENAME TO timeline`)
		isWell(t, s, p)
	})

	t.Run("no process folds", func(t *testing.T) {
		t.Parallel()
		dsn := databases.Shared(t).Database(t)
		held, err := openDatabase(t, "pgx", dsn).Conn(context.Background()) // as of a process that is half dead
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		if _, err := held.ExecContext(context.Background(),
			fmt.Sprintf(`SELECT pg_advisory_lock(%d, hashtext(current_schema()))`, 0x666c6f77)); err != nil {
			t.Fatal(err)
		}
		s, p := begin(t, dsn)
		p.post(t, post, http.StatusOK)
		says(t, p, "no process has folded any")
		if _, err := held.ExecContext(context.Background(), `SELECT pg_advisory_unlock_all()`); err != nil {
			t.Fatal(err)
		}
		isWell(t, s, p)
	})

	t.Run("an attempt does not end", func(t *testing.T) {
		t.Parallel()
		s, p := begin(t, databases.File(t))
		s.Slack.Fail(sandbox.Fault{Method: "chat.postMessage", Times: 1, Hang: true, AfterAccept: true})
		p.post(t, post, http.StatusOK)
		says(t, p, "not tried, to chat (")
		if text := getText(t, p.Admin+"/metrics"); !strings.Contains(text,
			`flowbridge_lane_stalled_seconds{notifier="chat"} `) {
			t.Errorf("the metrics do not show which notifier is not told:\n%s", text)
		}
		s.Slack.ClearFaults()
		isWell(t, s, p)
	})
}

func openDatabase(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func run(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}
