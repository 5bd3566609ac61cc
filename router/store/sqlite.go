package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pressly/goose/v3"
	sqlitedriver "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// sqlite is the dialect that the statements are written in.
var sqlite = &dialect{goose: goose.DialectSQLite3, identity: "INTEGER PRIMARY KEY AUTOINCREMENT",
	begin: beginSQLite, execAll: prepareAndExec,
	position: "instr", field: "CASE WHEN json_valid(%[1]s) THEN json_extract(%[1]s, '$.%[2]s') END",
	undone: func(error) bool { return false }, refused: refusedBySQLite, unavailable: unavailableInSQLite}

// openSQLite takes the file for this process and opens it twice: for the one writer, and for readers that never
// wait for it (WAL). A commit is on disk before it returns (synchronous FULL).
func (s *Store) openSQLite(ctx context.Context) error {
	path := s.cfg.DSN
	if err := checkPath(path); err != nil {
		return err
	}
	s.d = sqlite
	if err := s.ownFile(path); err != nil { // before the lock: that of a link is beside what it leads to
		return err
	}
	if err := s.lockFile(ctx, path); err != nil {
		return err
	}
	if err := s.setLogAside(path); err != nil {
		return err
	}
	for _, beside := range []string{"-wal", "-shm", "-journal"} { // those that SQLite makes are like the file itself
		s.closeToOthers(path + beside)
	}
	write, err := s.openHeld(path, url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-4000)",
			"journal_size_limit(67108864)", "wal_autocheckpoint(8000)", tempInMemory,
			"secure_delete(1)"}, // what is removed is overwritten: see erase.go
		"_txlock": {"immediate"},
	})
	if err != nil {
		return err
	}
	s.write, s.opened = &pool{DB: write, d: s.d, polite: true}, append(s.opened, write)
	write.SetMaxOpenConns(1) // SQLite has one writer
	if err := write.PingContext(ctx); err != nil {
		return explain(err)
	}
	if err := s.openReader(path); err != nil {
		return err
	}
	if err := s.migrateFile(ctx); err != nil {
		return err
	}
	if err := errors.Join(s.loadPeopleKey(ctx), s.loadSeals(ctx)); err != nil {
		return explain(err)
	}
	// Nobody else is at this file, so whoever held these claims is dead. They may have told somebody, and the
	// next attempt knows it.
	if _, err := s.write.ExecContext(ctx,
		`UPDATE deliveries SET claimed_until = 0 WHERE state = 'waiting' AND claimed_until <> 0`); err != nil {
		return err
	}
	s.shared, s.sharedOver = make(chan *sharedCall), make(chan struct{})
	if err := s.openInbox(ctx, path); err != nil {
		return err
	}
	if err := s.openEraser(path); err != nil {
		return err
	}
	s.noteFiles(path)
	return s.noteHead(path)
}

// tempInMemory keeps in memory what SQLite notes to undo a statement: one of a large post notes more than 64 KiB. In a
// file it would need room in a folder for temporary files, which may be full or not there while the database has room.
const tempInMemory = "temp_store(memory)"

// migrateFile brings the tables up to date. To make an index of a large table it sorts all of it: in a file.
func (s *Store) migrateFile(ctx context.Context) error {
	if _, err := s.write.ExecContext(ctx, `PRAGMA temp_store = file`); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		if code(err) == 0 { // what SQLite does not say needs no look at all of the file, which takes long
			return err
		}
		if damage := whole(ctx, s.write.DB); errors.Is(damage, ErrDamaged) {
			return damage // goose makes the table of its versions anew where it cannot read it
		}
		return err
	}
	_, err := s.write.ExecContext(ctx, `PRAGMA temp_store = memory`)
	return err
}

// fileReaders is how many queries of a file run at a time.
const fileReaders = 4

func (s *Store) openReader(path string) error {
	read, err := s.openHeld(path, url.Values{"_pragma": {"busy_timeout(5000)", "query_only(1)", "cache_size(-2000)"}})
	if err != nil {
		return err
	}
	s.read, s.opened = &pool{DB: read, d: s.d}, append(s.opened, read)
	read.SetMaxOpenConns(fileReaders)
	read.SetMaxIdleConns(fileReaders) // a new one parses all its statements
	read.SetConnMaxIdleTime(time.Minute)
	return nil
}

// lockFile keeps a second bridge from the file: two would both fold, and release each other's claims. The lock is
// one of SQLite's own, on an empty file beside it, so that those who only read are let in, and it goes with the
// process, however that ends. On NFS it is worth as much as that file system's locks; SQLite itself is safe there
// no more than that, so keep the file on a disk of the machine.
func (s *Store) lockFile(ctx context.Context, path string) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // one file has one lock, by whatever name
	}
	if err := s.ownFile(path + ".lock"); err != nil {
		return err
	}
	lock, err := openFile(path+".lock", url.Values{"_pragma": {"busy_timeout(0)"}})
	if err != nil {
		return err
	}
	s.opened = append(s.opened, lock)
	conn, err := lock.Conn(ctx)
	if err != nil {
		return explain(err)
	}
	s.opened = append(s.opened, conn)
	_, err = conn.ExecContext(ctx, `BEGIN EXCLUSIVE`)
	if code(err) == sqlitelib.SQLITE_BUSY {
		return errors.New(
			"another flowbridge is using it: stop that one, or name another file; for several at a time use PostgreSQL")
	}
	return explain(err)
}

func checkPath(path string) error {
	if err := checkName(path); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("the folder %s does not exist: make it first", dir)
	}
	if info, err := os.Stat(path); err == nil {
		return checkFile(info)
	}
	return nil
}

// checkFile refuses what cannot be a database: opening a pipe waits for whoever is at its other end.
func checkFile(info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return errors.New("it is a folder: name a file in it")
	case !info.Mode().IsRegular():
		return errors.New("it is a pipe or a device, not a regular file")
	}
	return nil
}

// checkName refuses what people give in the place of a path, and would otherwise become the odd name of a new file.
func checkName(dsn string) error {
	if dsn == "" {
		return errors.New("no path given")
	}
	return CheckDSN(dsn)
}

// openFile opens a file for a caller who is soon done with it.
func openFile(path string, settings url.Values) (*sql.DB, error) {
	return openKeeping(fileDSN(path, settings), nil)
}

// openHeld opens a file that is there, and stays open as long as the Store. A connection that is opened later finds the
// same, or is refused: see displaced.go.
func (s *Store) openHeld(path string, settings url.Values) (*sql.DB, error) {
	settings.Set("mode", "rw")
	return openKeeping(fileDSN(path, settings), s.mayOpen)
}

func fileDSN(path string, settings url.Values) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + settings.Encode()
}

// maxRows is how many events one statement inserts at most, a power of two.
const maxRows = 64

// insertRows says of each row whether it was stored. Asking for that with RETURNING would cost more than it saves, so
// it looks only where there was a repeat: what a statement stored is the end of the table.
func insertRows(ctx context.Context, tx *txn, table, query string, rows []eventRow) ([]bool, error) {
	result, err := tx.ExecContext(ctx, query, rowArgs(rows)...)
	if err != nil {
		return nil, err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return nil, err
	}
	if n == int64(len(rows)) {
		return slices.Repeat([]bool{true}, len(rows)), nil
	}
	digests := make([]string, len(rows))
	for i := range rows {
		digests[i] = rows[i].digest
	}
	stored, err := all(ctx, tx, `SELECT digest FROM `+table+` ORDER BY seq DESC LIMIT ?`, []any{n}, scanText)
	return areFresh(digests, stored), err
}

// rowArgs are the parameters of an insert.
func rowArgs(rows []eventRow) []any {
	args := make([]any, 0, 4*len(rows))
	for _, row := range rows {
		args = append(args, row.digest, row.received, string(row.state), row.body)
	}
	return args
}

func prepareAndExec(ctx context.Context, tx *txn, query string, rows [][]any) error {
	stmt, err := tx.PrepareContext(tx.next(ctx), query)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, row := range rows {
		if _, err := stmt.ExecContext(tx.next(ctx), row...); err != nil {
			return err
		}
	}
	return nil
}

// code returns SQLite's code of an error, 0 for none.
func code(err error) int {
	var fault *sqlitedriver.Error
	if !errors.As(err, &fault) {
		return 0
	}
	return fault.Code() & 0xff
}

func refusedBySQLite(err error) bool {
	switch code(err) {
	case sqlitelib.SQLITE_TOOBIG, sqlitelib.SQLITE_CONSTRAINT, sqlitelib.SQLITE_MISMATCH, sqlitelib.SQLITE_RANGE:
		return true
	}
	return false
}

// unavailableInSQLite knows what is no fault of the values: the disk, the file, or somebody who holds it.
func unavailableInSQLite(err error) bool {
	switch code(err) {
	case sqlitelib.SQLITE_FULL, sqlitelib.SQLITE_IOERR, sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_CANTOPEN,
		sqlitelib.SQLITE_PERM,
		sqlitelib.SQLITE_AUTH, sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED, sqlitelib.SQLITE_PROTOCOL,
		sqlitelib.SQLITE_NOMEM,
		sqlitelib.SQLITE_NOTADB, sqlitelib.SQLITE_SCHEMA, sqlitelib.SQLITE_INTERRUPT:
		return true
	}
	return false
}

// ErrDamaged says that a SQLite file is damaged, in more than what one row says.
var ErrDamaged = errors.New("the file is damaged: go back to a copy, see flowbridge docs running, SQLite")

// explain says what to do about a file that cannot be opened.
func explain(err error) error {
	switch code(err) {
	case sqlitelib.SQLITE_CORRUPT:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case sqlitelib.SQLITE_NOTADB:
		return errors.New("it is no SQLite database: name another file")
	case sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_PERM, sqlitelib.SQLITE_READONLY:
		return fmt.Errorf("let the user that runs flowbridge write to it and to its folder: %w", err)
	case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED:
		return errors.New("another process is using it")
	}
	return err
}
