package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"

	"flowbridge/router"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Bounds of bringing the tables up to date beside processes that are at work on them.
const (
	// leastPatience is how long a migration waits for a table at first, and morePatience what each try adds to that, up
	// to mostPatience: where everything is slow, nobody gets a table that fast. Whoever wants it meanwhile waits behind
	// the migration: posts, too. So it pauses for pauses times as long as it waits.
	leastPatience = 300 * time.Millisecond
	morePatience  = 50 * time.Millisecond
	mostPatience  = time.Second
	pauses        = 3
	// migrationTime bounds one statement of a migration, and all waits for tables together.
	migrationTime = 10 * time.Minute
)

// migrate brings the tables up to date, or goes on with those of a newer release where they allow that.
func (s *Store) migrate(ctx context.Context, options ...goose.ProviderOption) error {
	patience := leastPatience
	migrations, err := s.d.migrations(&patience)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(s.d.goose, s.write.DB, nil,
		append(options, goose.WithGoMigrations(migrations...), goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return err
	}
	have, err := provider.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	s.schema = migrations[len(migrations)-1].Version
	switch {
	case have > s.schema:
		return s.goOnWith(ctx, have)
	case have < s.schema:
		return s.bringUp(ctx, provider, &patience)
	}
	return nil
}

// goOnWith decides whether this program works on tables that are newer than those it knows.
func (s *Store) goOnWith(ctx context.Context, have int64) error {
	oldest, err := s.oldestFor(ctx, s.write, have)
	if err != nil {
		return err
	}
	if s.schema < oldest {
		return fmt.Errorf("it was written by a newer flowbridge (schema %d, this one knows %d): start the newer one", have,
			s.schema)
	}
	s.cfg.Logger.Warn("the database is one release newer than this flowbridge, which goes on with it: the next release "+
		"will not let it", "schema", have, "known", s.schema)
	return nil
}

// oldestFor returns the schema that a program must know at least to work on the tables of another one.
func (s *Store) oldestFor(ctx context.Context, q querier, schema int64) (oldest int64, err error) {
	value, err := s.remembered(ctx, q, oldestName(schema))
	if err != nil || value == "" {
		return schema, err
	}
	return strconv.ParseInt(value, 10, 64)
}

// oldestName is the single value that holds oldestFor.
func oldestName(schema int64) string { return fmt.Sprintf("oldest_for_%d", schema) }

// bringUp runs the migrations that are missing. A table that is in use is waited for again and again, each time for a
// moment: what waits for a table holds up all who come after it. One that was undone with its session is begun anew:
// because nothing was heard of us for too long, as of a process that gets no processor, or with its connection.
func (s *Store) bringUp(ctx context.Context, provider *goose.Provider, patience *time.Duration) error {
	begun := time.Now()
	for told := false; ; {
		_, err := provider.Up(ctx)
		if err == nil || !isInUse(err) && !isIdle(err) && !isLost(err) || time.Since(begun) > migrationTime {
			return err
		}
		if !told {
			told = true
			s.cfg.Logger.Warn("the tables cannot be changed yet; trying again until they can", "error", err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pauses * *patience):
		}
		*patience = min(*patience+morePatience, mostPatience)
	}
}

// isInUse says that somebody holds a table: 55P03 is lock_not_available, 40P01 a deadlock.
func isInUse(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && (refusal.Code == "55P03" || refusal.Code == "40P01")
}

// migration is one of the files.
type migration struct {
	version    int64
	statements string
	// oldest is the schema that a program must know at least to work on the tables as they are then.
	oldest int64
}

// leftBehind is the first migration that may leave programs at work that do not know it, and the one that gives
// processes the column schema.
const leftBehind = 25

// compatibleFrom is how a migration says that programs that know an older schema work on the tables that it makes.
// Where it does not, only those that know it do.
var compatibleFrom = regexp.MustCompile(`(?m)^-- Compatible from schema (\d+)\.$`)

// readMigrations returns the files in order, in the words of the dialect: all that differs is how a key numbers itself.
func (d *dialect) readMigrations() ([]migration, error) {
	files, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	var out []migration
	oldest := int64(0)
	for _, file := range files {
		version, err := goose.NumericComponent(file.Name())
		if err != nil {
			return nil, err
		}
		text, err := migrationFiles.ReadFile(path.Join("migrations", file.Name()))
		if err != nil {
			return nil, err
		}
		from := version
		if m := compatibleFrom.FindSubmatch(text); m != nil {
			if from, err = strconv.ParseInt(string(m[1]), 10, 64); err != nil {
				return nil, err
			}
		}
		oldest = max(oldest, from) // what shut a program out does so for good
		out = append(out, migration{version, strings.ReplaceAll(string(text), sqlite.identity, d.identity), oldest})
	}
	return out, nil
}

// migrations returns what each file does, with what only Go can compute. Each waits for a table as long as patience
// says when it is run.
func (d *dialect) migrations(patience *time.Duration) ([]*goose.Migration, error) {
	files, err := d.readMigrations()
	if err != nil {
		return nil, err
	}
	var out []*goose.Migration
	newest := files[len(files)-1]
	for _, m := range files {
		up := func(ctx context.Context, tx *sql.Tx) error {
			if err := d.makeWay(ctx, tx, *patience, m.version, newest); err != nil {
				return err
			}
			return d.runMigration(ctx, tx, m)
		}
		out = append(out, goose.NewGoMigration(m.version, &goose.GoFunc{RunTx: up}, nil))
	}
	return out, nil
}

func (d *dialect) runMigration(ctx context.Context, tx *sql.Tx, m migration) error {
	if _, err := tx.ExecContext(ctx, m.statements); err != nil {
		return err
	}
	switch {
	case m.version == targetsVersion:
		return d.fillTargets(ctx, tx)
	case m.version == listsVersion:
		return d.fillLists(ctx, tx)
	case m.version >= leftBehind:
		_, err := tx.ExecContext(ctx, d.rebind(
			`INSERT INTO remembered (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`),
			oldestName(m.version), strconv.FormatInt(m.oldest, 10))
		return err
	}
	return nil
}

// makeWay bounds what a migration may hold up on PostgreSQL, and refuses to begin what would shut out a process at
// work: the tables are on their way to newest, with version as the next step.
func (d *dialect) makeWay(
	ctx context.Context, tx *sql.Tx, patience time.Duration, version int64, newest migration,
) error {
	if !d.peers {
		return nil
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`SET LOCAL lock_timeout = %d; SET LOCAL statement_timeout = %d`,
		patience.Milliseconds(), migrationTime.Milliseconds()))
	if err != nil || version <= leftBehind {
		return err
	}
	// A process that was killed counts until its lease is over.
	e := shutOutError{schema: newest.version, oldest: newest.oldest}
	err = tx.QueryRowContext(ctx, `SELECT count(*), coalesce(min(schema), 0) FROM processes
		WHERE schema < $1 AND until > extract(epoch FROM clock_timestamp()) * 1000000`, e.oldest).Scan(&e.processes, &e.knows)
	if err == nil && e.processes > 0 {
		return &e
	}
	return err
}

// shutOutError says that processes are at work that would not understand the newest tables.
type shutOutError struct{ schema, oldest, knows, processes int64 }

func (e *shutOutError) Error() string {
	return fmt.Sprintf("%d processes at work on it know schema %d, and schema %d is for those that know %d or newer: "+
		"upgrade them to the release before this one first, or stop them all", e.processes, e.knows, e.schema, e.oldest)
}

// targetsVersion is the migration that gives deliveries the column target.
const targetsVersion = 10

// fillTargets fills in where the deliveries that are there are told. The database cannot compute it.
func (d *dialect) fillTargets(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT notifier, kind, channel, routing_key FROM deliveries`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var targets []router.Target
	for rows.Next() {
		var t router.Target
		var key string
		if err := rows.Scan(&t.Notifier, &t.Kind, &t.Address, &key); err != nil {
			return err
		}
		t.Credential = router.Secret(key)
		targets = append(targets, t)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, t := range targets {
		_, err := tx.ExecContext(ctx,
			d.rebind(`UPDATE deliveries SET target = ? WHERE notifier = ? AND kind = ? AND channel = ? AND routing_key = ?`),
			t.ID(), t.Notifier, string(t.Kind), t.Address, t.Credential.Reveal())
		if err != nil {
			return err
		}
	}
	return nil
}
