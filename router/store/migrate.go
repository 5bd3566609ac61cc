package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/pressly/goose/v3"

	"flowbridge/router"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrate brings the tables up to date.
func (s *Store) migrate(ctx context.Context, options ...goose.ProviderOption) error {
	migrations, err := s.d.migrations()
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
	newest := migrations[len(migrations)-1].Version
	if have > newest {
		return fmt.Errorf("it was written by a newer flowbridge (schema %d, this one knows %d): start the newer one", have,
			newest)
	}
	if have < newest {
		_, err = provider.Up(ctx)
	}
	return err
}

// migrations returns the files in order, in the words of the dialect: all that differs is how a key numbers itself.
func (d *dialect) migrations() ([]*goose.Migration, error) {
	files, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	var out []*goose.Migration
	for _, file := range files {
		version, err := goose.NumericComponent(file.Name())
		if err != nil {
			return nil, err
		}
		text, err := migrationFiles.ReadFile(path.Join("migrations", file.Name()))
		if err != nil {
			return nil, err
		}
		statements := strings.ReplaceAll(string(text), sqlite.identity, d.identity)
		up := func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, statements); err != nil {
				return err
			}
			switch version {
			case targetsVersion:
				return d.fillTargets(ctx, tx)
			case listsVersion:
				return d.fillLists(ctx, tx)
			}
			return nil
		}
		out = append(out, goose.NewGoMigration(version, &goose.GoFunc{RunTx: up}, nil))
	}
	return out, nil
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
