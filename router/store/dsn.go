package store

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// IsPostgres says whether a DSN names a PostgreSQL database; any other is the path of a SQLite file.
func IsPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// Forms of a DSN that are neither a path nor a URL of ours. Taken for a path, they would become a file whose name is a
// password.
var (
	keywordForm = regexp.MustCompile(
		`(?i)(^|[\s'"])(host|hostaddr|port|dbname|database|user|username|password|passwd|passfile|pwd|uid|server|data source|sslmode|service)\s*=`)
	schemeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
	prefixForm = regexp.MustCompile(
		`(?i)^(jdbc|file|sqlite3?|postgres|postgresql|pgx|mysql|mariadb|libsql)(\+[a-z0-9]+)?:`)
	accountForm = regexp.MustCompile(`^[^/\\\s]*:[^/\\]*@`)
)

// postgresURL is how to name a PostgreSQL database.
const postgresURL = "postgres://user@host:5432/database?sslmode=verify-full, with the password in PGPASSWORD or a " +
	"passfile"

// CheckDSN refuses what is neither the path of a SQLite file nor the URL of a PostgreSQL database. The error does not
// repeat it: it may hold a password.
func CheckDSN(dsn string) error {
	switch {
	case IsPostgres(dsn):
		return nil
	case strings.Contains(dsn, ":memory:"), strings.HasPrefix(dsn, "file:") && strings.Contains(dsn, "mode=memory"):
		return errors.New(
			"a database in memory is gone with the process, and with it pages that are owed: name a file, such as --db " +
				"flowbridge.db")
	case keywordForm.MatchString(dsn):
		return errors.New("the database is given as key=value pairs: write a URL, " + postgresURL)
	case schemeForm.MatchString(dsn), prefixForm.MatchString(dsn):
		return errors.New("the database is given by a scheme that flowbridge does not know: write the path of a SQLite " +
			"file alone, or a URL, " + postgresURL)
	case accountForm.MatchString(dsn):
		return errors.New("the database is given as an account and a host: write the path of a SQLite file, or a URL, " +
			postgresURL)
	}
	return nil
}

// DisplayName returns a DSN as people may see it: without user, password and settings.
func DisplayName(dsn string) string {
	if CheckDSN(dsn) != nil {
		return "the database that was given"
	}
	if !IsPostgres(dsn) {
		return dsn
	}
	u, err := url.Parse(dsn)
	// a password that is not escaped reaches into these
	if err != nil || strings.Contains(u.Host+u.Path+u.RawQuery+u.Fragment, "@") {
		return "postgres://"
	}
	host := u.Host
	if host == "" {
		host = u.Query().Get("host")
	}
	return "postgres://" + strings.TrimRight(host, "/") + u.Path
}

// MustExist says what is wrong with the path of a SQLite file that is not there, which Open would make, or is no file.
func MustExist(dsn string) error {
	if err := CheckDSN(dsn); err != nil || IsPostgres(dsn) {
		return err
	}
	info, err := os.Stat(dsn)
	if err != nil {
		return fmt.Errorf("read database: %w", err)
	}
	if err := checkFile(info); err != nil {
		return fmt.Errorf("read database %s: %w", dsn, err)
	}
	return nil
}
