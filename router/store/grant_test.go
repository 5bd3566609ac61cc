package store_test

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// TestWhatARoleMayNotDo holds that Open and Inspect name the role and the statement that helps, and that it does.
func TestWhatARoleMayNotDo(t *testing.T) {
	t.Parallel()
	server := storetest.Shared(t)
	ctx := context.Background()
	for _, tt := range []struct {
		name, role string
		prepare    []string // :role and :db stand for their names
		want       string
		grant      string
	}{
		{"create in the schema", "may_not_create", []string{"REVOKE CREATE ON SCHEMA public FROM PUBLIC"},
			"role :role may not make tables in schema public", "GRANT USAGE, CREATE ON SCHEMA public TO :role"},
		{"use the schema", "may-not-use", []string{"REVOKE ALL ON SCHEMA public FROM PUBLIC"},
			"role :role may not make tables in schema public", "GRANT USAGE, CREATE ON SCHEMA public TO :role"},
		{"find a schema", "Has_none", []string{"DROP SCHEMA public", "GRANT CREATE ON DATABASE :db TO :role"},
			"role :role may not make tables: its search_path names no schema that is there",
			"CREATE SCHEMA AUTHORIZATION :role"},
		{"connect", "may_not_connect", []string{"REVOKE CONNECT ON DATABASE :db FROM PUBLIC",
			"GRANT CREATE ON SCHEMA public TO :role"},
			"role :role may not connect to database :db", "GRANT CONNECT ON DATABASE :db TO :role"},
		{"touch tables of another role", "stranger", []string{"GRANT CREATE ON SCHEMA public TO :role", "TABLES"},
			"role :role may not change the tables in schema public, which are those of flowbridge", "GRANT flowbridge TO :role"},
		{"change tables of another role that are too old", "younger", []string{"GRANT CREATE ON SCHEMA public TO :role",
			"TABLES",
			"DELETE FROM goose_db_version WHERE version_id > 1", "GRANT ALL ON ALL TABLES IN SCHEMA public TO :role"},
			"role :role may not change the tables in schema public, which are those of flowbridge", "GRANT flowbridge TO :role"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dsn := server.Database(t)
			u, err := url.Parse(dsn)
			check(t, err)
			quoted := tt.role
			if strings.ToLower(tt.role) != tt.role || strings.Contains(tt.role, "-") {
				quoted = `"` + tt.role + `"`
			}
			words := strings.NewReplacer(":role", quoted, ":db", strings.Trim(u.Path, "/"))
			server.Exec(t, dsn, words.Replace("CREATE ROLE :role LOGIN"))
			for _, statement := range tt.prepare {
				if statement == "TABLES" {
					s, err := store.Open(ctx, store.Config{DSN: dsn, StartWait: storetest.Patience})
					check(t, err)
					check(t, s.Close())
					continue
				}
				server.Exec(t, dsn, words.Replace(statement))
			}
			query := u.Query()
			query.Set("user", tt.role)
			u.RawQuery = query.Encode()
			theirs := u.String()

			plain := strings.NewReplacer(`"`, "") // a name is quoted where it must be, or always
			_, err = store.Inspect(ctx, theirs)
			if want := plain.Replace(words.Replace(tt.want)); err == nil || !strings.Contains(plain.Replace(err.Error()), want) {
				t.Errorf("Inspect: %v, want %q", err, want)
			}
			_, err = store.Open(ctx, store.Config{DSN: theirs})
			if want := plain.Replace(words.Replace(tt.want + ": run as a superuser: " + tt.grant)); err == nil ||
				!strings.Contains(plain.Replace(err.Error()), want) {
				t.Fatalf("Open: %v, want %q", err, want)
			}
			_, statement, _ := strings.Cut(err.Error(), "run as a superuser: ")
			server.Exec(t, dsn, statement)
			if tt.role == "younger" {
				return // its tables are not really old
			}
			s, err := store.Open(ctx, store.Config{DSN: theirs, StartWait: storetest.Patience})
			check(t, err)
			defer s.Close()
			appendAll(t, s, event("a"))
			_, err = store.Inspect(ctx, theirs)
			check(t, err)
		})
	}
}

func TestWhatIsNoPathOfADatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for dsn, want := range map[string]string{
		":memory:":                            "gone with the process",
		"file::memory:":                       "gone with the process",
		"file::memory:?cache=shared":          "gone with the process",
		"file:bridge?mode=memory":             "gone with the process",
		"file:bridge.db":                      "write the path of a SQLite file alone",
		"sqlite:///tmp/bridge.db":             "write the path of a SQLite file alone",
		"mysql://db.example.com/bridge":       "a scheme that flowbridge does not know",
		"postgresql+pg8000://db.example.com/": "a scheme that flowbridge does not know",
		"host=db.example.com user=bridge":     "write a URL, postgres://",
		"user=bridge dbname=bridge":           "write a URL, postgres://",
	} {
		ctx := context.Background()
		_, opened := store.Open(ctx, store.Config{DSN: dsn})
		_, inspected := store.Inspect(ctx, dsn)
		_, read := store.OpenHistory(ctx, dsn)
		for by, err := range map[string]error{"Open": opened, "Inspect": inspected, "OpenHistory": read,
			"Backup": store.Backup(ctx, dsn, "copy.db")} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: %v, want %q", by, dsn, err, want)
			}
		}
	}
	left, err := filepath.Glob("*")
	check(t, err)
	if len(left) > 0 {
		t.Errorf("files were made: %q", left)
	}
}
