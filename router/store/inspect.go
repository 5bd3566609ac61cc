package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"flowbridge/router"
)

// Inspection is what Inspect found.
type Inspection struct {
	Exists bool           // false: there is nothing yet, and the first Open makes it
	Schema int64          // of the database; 0 for one without tables
	Newest int64          // schema that this program knows
	Oldest int64          // schema that a program must know at least to work on it
	Seen   []router.Sight // what bridges on it saw of services; none where the schema is another one
}

// Inspect looks at a database that a running bridge may use: that it can be read and written. Unlike Open it leaves
// nothing behind, changes nothing and takes nothing for itself.
func Inspect(ctx context.Context, dsn string) (found Inspection, err error) {
	if err := CheckDSN(dsn); err != nil {
		return found, err
	}
	s := newStore(Config{DSN: dsn})
	if IsPostgres(dsn) {
		_, err = s.connect(ctx)
	} else {
		err = s.inspectSQLite()
	}
	if err == nil {
		found.Newest, err = s.newestSchema()
	}
	if err == nil && s.read != nil {
		found.Exists = true
		err = explain(s.whatIsDenied(ctx, s.inspect(ctx, &found)))
		if err == nil && found.Schema < found.Newest && IsPostgres(dsn) {
			err = s.mayMigrate(ctx)
		}
		if err == nil && found.Schema > found.Newest {
			found.Oldest, err = s.oldestFor(ctx, s.read, found.Schema)
		}
		if err == nil && found.Schema == found.Newest {
			found.Seen, err = seen(ctx, s.read)
		}
	}
	if err = errors.Join(err, s.release()); err != nil {
		return found, fmt.Errorf("%s: %w", cmp.Or(DisplayName(dsn), "the database"), err)
	}
	return found, nil
}

// inspectSQLite opens a file as its writer would, or leaves s.read nil where there is none and it could be made.
func (s *Store) inspectSQLite() error {
	s.d = sqlite
	path := s.cfg.DSN
	if err := checkPath(path); err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	db, err := openFile(path, url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(3000)"}, "_txlock": {"immediate"}})
	if err != nil {
		return err
	}
	s.read, s.opened = &pool{DB: db, d: s.d}, append(s.opened, db)
	return nil
}

// inspect reads the schema, and takes the writer's turn without writing.
func (s *Store) inspect(ctx context.Context, found *Inspection) error {
	tx, err := s.read.DB.BeginTx(ctx, &sql.TxOptions{})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&found.Schema)
	switch {
	case err != nil && (strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "42P01")):
		return nil // made, and never opened by a bridge
	case err != nil || found.Schema == 0:
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE deliveries SET state = state WHERE id = 0`)
	return err
}

func (s *Store) newestSchema() (int64, error) {
	files, err := s.d.readMigrations()
	if err != nil {
		return 0, err
	}
	return files[len(files)-1].version, nil
}
