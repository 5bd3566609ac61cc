package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// columns binds the columns of a table to the fields of a value: one list says what is inserted, what a later write
// replaces, what is read, and where that goes. A new column is a line of it, and a migration.
type columns []column

type column struct {
	name string
	cell
}

// cell is where one column of a row is read to, and what is written of it.
type cell struct {
	dest  any // for Scan; nil for what is written to be looked for, and never read
	value func() (any, error)
	once  bool // it never changes, or the row is found by it: a later write leaves it
}

func textAt[T ~string](p *T) cell {
	return cell{dest: p, value: func() (any, error) { return string(*p), nil }}
}

func numberAt[T ~int | ~int64](p *T) cell {
	return cell{dest: p, value: func() (any, error) { return int64(*p), nil }}
}

func timeAt(p *time.Time) cell {
	return cell{dest: (*storedTime)(p), value: func() (any, error) { return micros(*p), nil }}
}

func boolAt(p *bool) cell {
	return cell{dest: (*storedBool)(p), value: func() (any, error) { return toInt(*p), nil }}
}

// jsonAt is what nobody looks for.
func jsonAt(p any) cell {
	return cell{dest: storedJSON{p}, value: func() (any, error) {
		body, err := json.Marshal(p)
		return string(body), err
	}}
}

// derived is made of other fields, so that the row can be looked for by it.
func derived(value func() any) cell {
	return cell{value: func() (any, error) { return value(), nil }}
}

func (c cell) writtenOnce() cell {
	c.once = true
	return c
}

// read lists the columns that are read, for a SELECT.
func (c columns) read() string {
	var names []string
	for i := range c {
		if c[i].dest != nil {
			names = append(names, c[i].name)
		}
	}
	return strings.Join(names, ", ")
}

// dests lists where they go, for Scan.
func (c columns) dests() (dests []any) {
	for i := range c {
		if c[i].dest != nil {
			dests = append(dests, c[i].dest)
		}
	}
	return dests
}

// upsert inserts a row, or replaces what may change of the one that is found by some columns.
func (c columns) upsert(table, by string) string {
	var names, replaced []string
	for i := range c {
		names = append(names, c[i].name)
		if !c[i].once {
			replaced = append(replaced, c[i].name+" = excluded."+c[i].name)
		}
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s) ON CONFLICT (%s) DO UPDATE SET %s", table,
		strings.Join(names, ", "),
		strings.Repeat(", ?", len(c)-1), by, strings.Join(replaced, ", "))
}

// args are the values of a row, for upsert.
func (c columns) args() (args []any, err error) {
	args = make([]any, len(c))
	for i := range c {
		if args[i], err = c[i].value(); err != nil {
			return nil, fmt.Errorf("%s: %w", c[i].name, err)
		}
	}
	return args, nil
}

// storedTime is a time in microseconds since 1970; 0 is the zero time.
type storedTime time.Time

func (t *storedTime) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", v)
	}
	*t = storedTime(fromMicros(n))
	return nil
}

// storedBool is 0 or 1.
type storedBool bool

func (b *storedBool) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("yes or no is stored as %T", v)
	}
	*b = n != 0
	return nil
}

// storedJSON reads into what it points to, which is a zero value: an empty object leaves it so.
type storedJSON struct{ at any }

func (j storedJSON) Scan(v any) error {
	switch body := v.(type) {
	case string:
		if body == "{}" {
			return nil
		}
		return json.Unmarshal([]byte(body), j.at)
	case []byte:
		return json.Unmarshal(body, j.at)
	}
	return fmt.Errorf("JSON is stored as %T", v)
}
