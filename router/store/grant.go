package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// MissingGrant says that the role of a PostgreSQL URL may not do what flowbridge needs.
type MissingGrant struct {
	Role  string // quoted as SQL wants it
	Not   string // what it may not do, in words
	Grant string // the statement that lets it, for a superuser or the owner of what it names
}

func (e *MissingGrant) Error() string { return fmt.Sprintf("role %s may not %s", e.Role, e.Not) }

// Do says what mends it.
func (e *MissingGrant) Do() string { return "run as a superuser: " + e.Grant }

// withGrant adds what mends it to the text.
func withGrant(err error) error {
	var missing *MissingGrant
	if errors.As(err, &missing) {
		return fmt.Errorf("%w: %s", err, missing.Do())
	}
	return err
}

// denied says that an error is about what a role may do: insufficient_privilege, or a search_path of which it may use
// no schema.
func denied(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && (refusal.Code == "42501" || refusal.Code == "3F000")
}

// deniedAtConnect explains a refusal of the whole database.
func deniedAtConnect(config *pgx.ConnConfig) error {
	role, database := pgx.Identifier{config.User}.Sanitize(), pgx.Identifier{config.Database}.Sanitize()
	grant := fmt.Sprintf("GRANT CONNECT ON DATABASE %s TO %s", database, role)
	return &MissingGrant{role, "connect to database " + database, grant}
}

// privileges is what a role may do in the schema that its tables are in, or come to.
type privileges struct {
	role, schema, owner  string // quoted; schema "" if search_path names none that exists, owner "" without tables
	use, create, asOwner bool
}

// The schema is the first of search_path that exists: current_schema() knows only those that the role may use.
const privilegesQuery = `SELECT quote_ident(current_user), coalesce(quote_ident(s.name), ''),
		coalesce(has_schema_privilege(s.oid, 'USAGE'), false), coalesce(has_schema_privilege(s.oid, 'CREATE'), false),
		coalesce(quote_ident(pg_get_userbyid(t.relowner)), ''), coalesce(pg_has_role(t.relowner, 'USAGE'), false)
	FROM (SELECT 1) AS one
	LEFT JOIN (SELECT n.oid, n.nspname AS name
		FROM unnest(string_to_array(current_setting('search_path'), ',')) WITH ORDINALITY AS path (word, i)
		JOIN pg_namespace n ON n.nspname = replace(trim(both ' "' from word), '$user', current_user)
		ORDER BY i LIMIT 1) AS s ON true
	LEFT JOIN pg_class t ON t.relnamespace = s.oid AND t.relname = 'goose_db_version'`

func (s *Store) privileges(ctx context.Context) (p privileges, err error) {
	ctx, cancel := s.d.bounded(ctx)
	defer cancel()
	err = s.read.QueryRowContext(ctx, privilegesQuery).Scan(&p.role, &p.schema, &p.use, &p.create, &p.owner, &p.asOwner)
	return p, err
}

// missing says what a role may not do that making or changing tables needs; nil if that is nothing.
func (p *privileges) missing() *MissingGrant {
	switch {
	case p.schema == "":
		const not = "make tables: its search_path names no schema that is there"
		return &MissingGrant{p.role, not, "CREATE SCHEMA AUTHORIZATION " + p.role}
	case !p.use || !p.create:
		grant := fmt.Sprintf("GRANT USAGE, CREATE ON SCHEMA %s TO %s", p.schema, p.role)
		return &MissingGrant{p.role, "make tables in schema " + p.schema, grant}
	case p.owner != "" && !p.asOwner:
		not := fmt.Sprintf("change the tables in schema %s, which are those of %s", p.schema, p.owner)
		return &MissingGrant{p.role, not, fmt.Sprintf("GRANT %s TO %s", p.owner, p.role)}
	}
	return nil
}

// whatIsDenied names the role and the grant behind an error that is about them.
func (s *Store) whatIsDenied(ctx context.Context, err error) error {
	if !denied(err) {
		return err
	}
	p, other := s.privileges(ctx)
	if other != nil {
		return err
	}
	if missing := p.missing(); missing != nil {
		return missing
	}
	return err
}

// mayMigrate says why the tables of a PostgreSQL database could not be made or brought up to date.
func (s *Store) mayMigrate(ctx context.Context) error {
	p, err := s.privileges(ctx)
	if err != nil {
		return err
	}
	if missing := p.missing(); missing != nil {
		return missing
	}
	return nil
}
