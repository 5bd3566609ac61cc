package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// released is the schema of the newest release. Programs of that release are at work while a newer one changes the
// tables, so every migration since then says from which schema on it is compatible. Raise it with each release.
const released = 24

// additions are the statements after which a program that does not know them works on: what it does not name has a
// default, and nothing that it names is gone.
var additions = regexp.MustCompile(`(?is)^(CREATE TABLE \w|CREATE INDEX |DROP INDEX |INSERT INTO |UPDATE |` +
	`ALTER TABLE \w+ ADD COLUMN \w+ (BIGINT|TEXT|BYTEA|DOUBLE PRECISION)( NOT NULL DEFAULT \S+)?$)`)

// ofEvents is what holds the journal for long, where posts wait.
var ofEvents = regexp.MustCompile(`(?is)^(CREATE INDEX .* ON events\b|UPDATE events\b)`)

func isAddition(statement string) bool {
	return additions.MatchString(statement) && !ofEvents.MatchString(statement)
}

// TestMigrationsLeaveTheReleaseBeforeAtWork reads what they say and do.
func TestMigrationsLeaveTheReleaseBeforeAtWork(t *testing.T) {
	t.Parallel()
	for statement, want := range map[string]bool{
		"ALTER TABLE events ADD COLUMN a BIGINT NOT NULL DEFAULT 0": true,
		"ALTER TABLE events ADD COLUMN a DOUBLE PRECISION":          true,
		"ALTER TABLE events ADD COLUMN a BIGINT NOT NULL":           false,
		"ALTER TABLE events DROP COLUMN body":                       false,
		"ALTER TABLE events RENAME TO journal":                      false,
		"CREATE UNIQUE INDEX a ON events (body)":                    false,
		"DROP TABLE events":                                         false,
		"CREATE INDEX a ON alerts (level)":                          true,
		"CREATE INDEX a ON events (body)":                           false,
		"UPDATE events SET body = ''":                               false,
	} {
		if got := isAddition(statement); got != want {
			t.Errorf("%s: is an addition: %t, want %t", statement, got, want)
		}
	}
	files, err := filepath.Glob("migrations/*.sql")
	check(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(t, err)
		version, err := strconv.Atoi(filepath.Base(file)[:4])
		check(t, err)
		if version <= released {
			continue
		}
		from := 0
		if m := store.CompatibleFrom.FindSubmatch(text); m != nil {
			from, err = strconv.Atoi(string(m[1]))
			check(t, err)
		}
		if from != released {
			t.Errorf("%s is compatible from schema %d, want %d: write \"-- Compatible from schema %d.\"", file, from, released,
				released)
		}
		for statement := range strings.SplitSeq(regexp.MustCompile(`--.*`).ReplaceAllString(string(text), ""), ";") {
			if s := strings.TrimSpace(statement); s != "" && !isAddition(s) {
				t.Errorf("%s: a program of the release before may not understand the tables after\n%s", file, s)
			}
		}
	}
}

// bothDatabases runs a test on an empty database of each kind.
func bothDatabases(t *testing.T, f func(t *testing.T, driver, dsn string)) {
	t.Run("SQLite", func(t *testing.T) { f(t, "sqlite", filepath.Join(t.TempDir(), "test.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { f(t, "pgx", storetest.Shared(t).Database(t)) })
}

// run runs statements on a database.
func run(t *testing.T, driver, dsn string, statements ...string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	check(t, err)
	defer db.Close()
	for _, statement := range statements {
		_, err := db.Exec(statement)
		check(t, err)
	}
}

// TestAProgramWorksOnASchemaOneReleaseNewer holds which newer tables are worked on, and the words about the others.
func TestAProgramWorksOnASchemaOneReleaseNewer(t *testing.T) {
	t.Parallel()
	bothDatabases(t, func(t *testing.T, driver, dsn string) {
		ctx := context.Background()
		s, err := store.Open(ctx, store.Config{DSN: dsn, StartWait: storetest.Patience})
		check(t, err)
		check(t, s.Close())
		before, err := store.Inspect(ctx, dsn)
		check(t, err)
		run(t, driver, dsn, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)

		refused := fmt.Sprintf("it was written by a newer flowbridge (schema 9999, this one knows %d): start the newer one",
			before.Newest)
		refuses := func() {
			t.Helper()
			if _, err := store.Open(ctx, store.Config{DSN: dsn}); err == nil || !strings.Contains(err.Error(), refused) {
				t.Errorf("opens a database that is too new: got %v, want %q", err, refused)
			}
		}
		refuses() // nobody says for whom it is
		run(t, driver, dsn, fmt.Sprintf(`INSERT INTO remembered (name, value) VALUES ('oldest_for_9999', '%d')`,
			before.Newest+1))
		refuses()

		run(t, driver, dsn,
			fmt.Sprintf(`UPDATE remembered SET value = '%d' WHERE name = 'oldest_for_9999'`, before.Newest),
			`ALTER TABLE events ADD COLUMN next BIGINT NOT NULL DEFAULT 0`)
		var log bytes.Buffer
		s, err = store.Open(ctx, store.Config{DSN: dsn,
			StartWait: storetest.Patience, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		check(t, err)
		appendAll(t, s, event("on newer tables"))
		if got := waiting(t, s); len(got) != 1 {
			t.Errorf("%d events wait, want 1", len(got))
		}
		check(t, s.Close())
		if !strings.Contains(log.String(), "one release newer than this flowbridge") {
			t.Errorf("it does not say that it should not stay: %s", &log)
		}
		after, err := store.Inspect(ctx, dsn)
		check(t, err)
		if after.Schema != 9999 || after.Oldest != before.Newest {
			t.Errorf("schema %d is for those that know %d, want 9999 and %d", after.Schema, after.Oldest, before.Newest)
		}
	})
}

// backTo24 makes a database one of the release before.
var backTo24 = append([]string{`DELETE FROM goose_db_version WHERE version_id > 24`,
	`DELETE FROM remembered WHERE name LIKE 'oldest_for_%'`, `ALTER TABLE processes DROP COLUMN schema`,
	`ALTER TABLE links DROP COLUMN service`},
	indexesOf24...)

// indexesOf24 brings the indexes back to those of schema 24.
var indexesOf24 = []string{`DROP INDEX deliveries_failing`, `DROP INDEX deliveries_turn`,
	`DROP INDEX deliveries_critical`, `DROP INDEX deliveries_tried`,
	`CREATE INDEX deliveries_lane ON deliveries (notifier, class) WHERE state = 'waiting'`}

// TestSeveralStartAtOnce holds that one of them changes the tables, and the others wait for it.
func TestSeveralStartAtOnce(t *testing.T) {
	t.Parallel()
	dsn := storetest.Shared(t).Database(t)
	for _, prepare := range [][]string{nil, backTo24} {
		run(t, "pgx", dsn, prepare...)
		var starts []<-chan error
		for range 4 {
			starts = append(starts, opening(store.Config{DSN: dsn}))
		}
		for _, opened := range starts {
			check(t, <-opened)
		}
	}
}

// TestAMigrationHoldsUpNobodyBehindItself holds that it waits for a table that a backup reads, and that who wants the
// table meanwhile gets it.
func TestAMigrationHoldsUpNobodyBehindItself(t *testing.T) {
	t.Parallel()
	ctx, server := context.Background(), storetest.Shared(t)
	dsn := server.Database(t)
	s, err := store.Open(ctx, store.Config{DSN: dsn, StartWait: storetest.Patience})
	check(t, err)
	check(t, s.Close())
	run(t, "pgx", dsn, backTo24...)
	end := server.Backup(t, dsn, "processes")

	log := make(logLines, 10)
	opened := opening(store.Config{DSN: dsn, Logger: slog.New(slog.NewTextHandler(log, nil))})
	waits(t, opened, log, "the tables cannot be changed yet")
	db, err := sql.Open("pgx", dsn)
	check(t, err)
	defer db.Close()
	eventually(t, "it waits for the table once more", func() (waits bool) {
		check(t, db.QueryRow(`SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'processes'::regclass
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&waits))
		return waits
	})
	run(t, "pgx", dsn, `SET lock_timeout = '4s'; DELETE FROM processes`) // behind it
	end()
	check(t, <-opened)
	run(t, "pgx", dsn, `INSERT INTO processes (name, until, schema) VALUES ('a', 0, 25)`)
}

// opening opens a store beside the test, and closes it.
func opening(cfg store.Config) <-chan error {
	opened := make(chan error, 1)
	go func() {
		s, err := store.Open(context.Background(), cfg)
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	return opened
}

// waits holds that a store which is being opened says why it waits.
func waits(t *testing.T, opened <-chan error, log logLines, why string) {
	t.Helper()
	select {
	case line := <-log:
		if !strings.Contains(line, why) {
			t.Errorf("it says %s, want %q", line, why)
		}
	case err := <-opened:
		t.Fatalf("it does not wait: %v", err)
	}
}

// logLines are what a logger writes.
type logLines chan string

func (l logLines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}
