package store

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"unsafe"

	sqlitelib "modernc.org/sqlite/lib"
)

// Parsed returns how often each statement that the connections of a SQLite store keep was parsed anew, and how often it
// has run since it was last. SQLite counts that, and its driver does not show it: what is not exported of the driver is
// read here.
func (s *Store) Parsed(t *testing.T) (anew, runs map[string]int64) {
	t.Helper()
	anew, runs = map[string]int64{}, map[string]int64{}
	for _, p := range []*pool{s.write, s.read} {
		conn, err := p.Conn(context.Background())
		if err == nil {
			err = conn.Raw(func(of any) error {
				kept, ok := of.(*keepingConn)
				if !ok {
					return fmt.Errorf("a connection is a %T", of)
				}
				return countParsed(kept.fullConn, anew, runs)
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	return anew, runs
}

func countParsed(of fullConn, anew, runs map[string]int64) error {
	in := reflect.ValueOf(of).Elem()
	db, thread := in.FieldByName("db"), in.FieldByName("tls")
	if !db.IsValid() || !thread.IsValid() {
		return fmt.Errorf("%T has no db or tls", of)
	}
	thread = reflect.NewAt(thread.Type(), unsafe.Pointer(thread.UnsafeAddr())).Elem() // as if it were exported
	call := func(f any, args ...any) reflect.Value {
		values := []reflect.Value{thread}
		for _, arg := range args {
			values = append(values, reflect.ValueOf(arg))
		}
		return reflect.ValueOf(f).Call(values)[0]
	}
	const mostStatements = 10_000
	var statement uintptr
	for range mostStatements {
		statement = uintptr(call(sqlitelib.Xsqlite3_next_stmt, uintptr(db.Uint()), statement).Uint())
		if statement == 0 {
			return nil
		}
		text := cString(uintptr(call(sqlitelib.Xsqlite3_sql, statement).Uint()))
		status := func(of int32) int64 { return call(sqlitelib.Xsqlite3_stmt_status, statement, of, int32(0)).Int() }
		anew[text] += status(sqlitelib.SQLITE_STMTSTATUS_REPREPARE)
		runs[text] += status(sqlitelib.SQLITE_STMTSTATUS_RUN)
	}
	return fmt.Errorf("more than %d statements", mostStatements)
}

// cString reads a text of C, which the driver keeps outside of Go's memory.
func cString(at uintptr) string {
	var text []byte
	for ; at != 0; at++ {
		c := **(**byte)(unsafe.Pointer(&at))
		if c == 0 {
			break
		}
		text = append(text, c)
	}
	return string(text)
}
