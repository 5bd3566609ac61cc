package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// mostStatements bounds the statements that one connection keeps prepared: there are about two hundred of ours, and
// some with lists of any length.
const mostStatements = 300

// keeping opens connections of SQLite that keep their statements: to parse one takes longer than to run most of them.
type keeping struct {
	of      driver.Driver
	dsn     string
	mayOpen func() error // nil: always
}

func (k keeping) Connect(context.Context) (driver.Conn, error) {
	if k.mayOpen != nil {
		if err := k.mayOpen(); err != nil {
			return nil, err
		}
	}
	conn, err := k.of.Open(k.dsn)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(fullConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver has no contexts"), conn.Close())
	}
	return &keepingConn{fullConn: full, kept: map[string]fullStmt{}}, nil
}

// openKeeping opens a database by the name that sql.Open takes, and asks mayOpen before each connection, if not nil.
func openKeeping(dsn string, mayOpen func() error) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn) // for its driver
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(keeping{db.Driver(), dsn, mayOpen}), db.Close()
}

func (k keeping) Driver() driver.Driver { return k.of }

// fullConn is what database/sql asks of a connection, but for running statements that nobody prepared.
type fullConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type fullStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// keepingConn hands out a statement that it keeps, and takes it back when it is closed. One connection serves one
// caller at a time, so nothing is locked.
type keepingConn struct {
	fullConn
	kept map[string]fullStmt // that nobody uses
}

func (c *keepingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if stmt, ok := c.kept[query]; ok {
		delete(c.kept, query) // its rows may be read while the same is asked once more
		return &keptStmt{stmt, c, query}, nil
	}
	stmt, err := c.fullConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	full, ok := stmt.(fullStmt)
	if !ok {
		return stmt, nil
	}
	return &keptStmt{full, c, query}, nil
}

func (c *keepingConn) Close() error {
	var errs []error
	for _, stmt := range c.kept {
		errs = append(errs, stmt.Close())
	}
	clear(c.kept)
	return errors.Join(append(errs, c.fullConn.Close())...)
}

type keptStmt struct {
	fullStmt
	conn  *keepingConn
	query string
}

func (s *keptStmt) Close() error {
	if _, twice := s.conn.kept[s.query]; twice || len(s.conn.kept) >= mostStatements {
		return s.fullStmt.Close()
	}
	s.conn.kept[s.query] = s.fullStmt
	return nil
}
