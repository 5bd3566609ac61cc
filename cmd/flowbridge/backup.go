package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"flowbridge/router/store"
)

type backupCommand struct {
	File string `arg:"" complete:"file" help:"File to write; it must not be there yet."`
	DB   string `name:"db" default:"flowbridge.db" env:"FLOWBRIDGE_DB" complete:"file" help:"Database: the path of a SQLite file."`
}

// Run copies the database, whether or not a bridge is using it.
func (c backupCommand) Run(ctx context.Context, p *program) error {
	if err := store.CheckDSN(c.DB); err != nil {
		return fmt.Errorf("--db: %w", err)
	}
	p.inNoHurry()
	if err := store.Backup(ctx, c.DB, c.File); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w (name the database that serve uses with --db or FLOWBRIDGE_DB)", err)
		}
		return fmt.Errorf("backup: %w", err)
	}
	const back = "to go back to it, stop flowbridge and start it with --db %s; to put it in the old one's place, see " +
		"flowbridge docs running, SQLite"
	fmt.Fprintf(p.Stdout, "%s is a copy of %s: "+back+"\n", c.File, c.DB, c.File)
	return nil
}
