package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// openSQLite opens the file twice: for the one writer, and for readers that never wait for it (WAL). A commit
// is on disk before it returns (synchronous FULL).
func openSQLite(ctx context.Context, path string) (write, read *sql.DB, err error) {
	switch {
	case path == "":
		return nil, nil, errors.New("no path given")
	case strings.HasPrefix(path, "postgres://"), strings.HasPrefix(path, "postgresql://"):
		return nil, nil, errors.New("PostgreSQL is not supported by this version: give the path of a SQLite file")
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, nil, fmt.Errorf("%s: the folder %s does not exist: make it first", path, dir)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, nil, fmt.Errorf("%s is a folder: name a file in it", path)
	}
	settings := url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-4000)", "journal_size_limit(67108864)", "wal_autocheckpoint(8000)"},
		"_txlock": {"immediate"},
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + settings.Encode()
	if write, err = sql.Open("sqlite", dsn); err != nil {
		return nil, nil, err
	}
	write.SetMaxOpenConns(1)
	if err := write.PingContext(ctx); err != nil {
		return nil, nil, errors.Join(explain(path, err), write.Close())
	}
	settings["_pragma"] = []string{"busy_timeout(5000)", "query_only(1)", "cache_size(-2000)"}
	settings.Del("_txlock")
	dsn = "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + settings.Encode()
	if read, err = sql.Open("sqlite", dsn); err != nil {
		return nil, nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(4)
	read.SetMaxIdleConns(2)
	return write, read, nil
}

// explain says what to do about a file that cannot be opened.
func explain(path string, err error) error {
	var fault *sqlite.Error
	if !errors.As(err, &fault) {
		return fmt.Errorf("%s: %w", path, err)
	}
	switch fault.Code() & 0xff {
	case sqlitelib.SQLITE_NOTADB:
		return fmt.Errorf("%s is no SQLite database: name another file", path)
	case sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_PERM, sqlitelib.SQLITE_READONLY:
		return fmt.Errorf("%s cannot be opened: let the user that runs flowbridge write to it and to its folder (%w)", path, err)
	case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED:
		return fmt.Errorf("%s is in use by another process", path)
	}
	return fmt.Errorf("%s: %w", path, err)
}
