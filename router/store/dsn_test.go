package store_test

import (
	"context"
	"strings"
	"testing"

	"flowbridge/router/store"
)

func TestWhatIsNoDatabaseOfOursIsRefusedWithoutRepeatingIt(t *testing.T) {
	ctx := context.Background()
	t.Chdir(t.TempDir())
	for _, dsn := range []string{
		"host=db.example.com user=ada password=hunter2", "password=hunter2", "dbname=x password = 'hunter2'",
		"  user=ada password=hunter2",
		"Server=db;Database=x;User Id=ada;Password=hunter2", "mysql://ada:hunter2@h/x", "sqlite:///hunter2.db",
		"sqlite:hunter2.db", "file:hunter2.db?mode=ro",
		"postgresql+psycopg://ada:hunter2@h/x", "http://ada:hunter2@h", "Postgres://ada:hunter2@h/x",
		"postgres:ada:hunter2@h", "jdbc:postgresql://h/x?password=hunter2",
		"ada:hunter2@tcp(h)/x", "ada:hunter2@h",
	} {
		for name, open := range map[string]func() error{
			"Open":        func() error { _, err := store.Open(ctx, store.Config{DSN: dsn}); return err },
			"OpenHistory": func() error { _, err := store.OpenHistory(ctx, dsn); return err },
			"Inspect":     func() error { _, err := store.Inspect(ctx, dsn); return err },
			"Backup":      func() error { return store.Backup(ctx, dsn, "copy.db") },
		} {
			if err := open(); err == nil || strings.Contains(err.Error(), "hunter2") ||
				!strings.Contains(err.Error(), "postgres://user@host:5432/database") {
				t.Errorf("%s(%q): %v", name, dsn, err)
			}
		}
		if shown := store.DisplayName(dsn); strings.Contains(shown, "hunter2") {
			t.Errorf("%q is shown as %q", dsn, shown)
		}
	}
	for _, dsn := range []string{
		"flowbridge.db", "/var/lib/flowbridge/flowbridge.db", "./a=b.db", "C:\\data\\bridge.db", "with space.db", "a@b.db",
		"", "data/user=1.db",
		"postgres://h/x", "postgresql://ada@h:5432,i:5432/x?sslmode=require", "postgres:///x?host=/run/postgresql",
	} {
		if err := store.CheckDSN(dsn); err != nil {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

func TestTheNameOfADatabaseShowsNoPassword(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://ada:hunter2@db.example.com:5432/x?sslmode=require": "postgres://db.example.com:5432/x",
		"postgres://db.example.com/x?user=ada&password=hunter2":        "postgres://db.example.com/x",
		"postgres://ada:hun/ter2@db.example.com/x":                     "postgres://",
		"postgres://ada:12?ter2@db.example.com/x":                      "postgres://",
		"postgres://ada:12#ter2@db.example.com/x":                      "postgres://",
		"postgres://ada:h@unter2@db.example.com/x":                     "postgres://db.example.com/x",
		"postgres://ada:%zz@db.example.com/x":                          "postgres://",
		"postgres://h1:5432,h2:5433/x":                                 "postgres://h1:5432,h2:5433/x",
		"postgres:///x?host=/run/postgresql":                           "postgres:///run/postgresql/x",
		"/var/lib/bridge.db":                                           "/var/lib/bridge.db",
	} {
		if got := store.DisplayName(dsn); got != want {
			t.Errorf("%q is shown as %q, want %q", dsn, got, want)
		}
	}
}
