package store

import (
	"testing"
	"time"
)

// TestColumns holds the statements and the order of values that one list makes.
func TestColumns(t *testing.T) {
	t.Parallel()
	row := struct {
		id   int64
		name string
		at   time.Time
		on   bool
		more map[string]int
	}{7, "seven", time.Unix(1, 0), true, map[string]int{"a": 1}}
	c := columns{
		{"id", numberAt(&row.id).writtenOnce()}, {"name", textAt(&row.name)}, {"at", timeAt(&row.at)},
		{"on_duty", boolAt(&row.on)},
		{"more", jsonAt(&row.more)}, {"long", derived(func() any { return int64(len(row.name)) })},
	}
	if got, want := c.read(), "id, name, at, on_duty, more"; got != want {
		t.Errorf("reads %q, want %q", got, want)
	}
	want := "INSERT INTO things (id, name, at, on_duty, more, long) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO " +
		"UPDATE SET " +
		"name = excluded.name, at = excluded.at, on_duty = excluded.on_duty, more = excluded.more, long = excluded.long"
	if got := c.upsert("things", "id"); got != want {
		t.Errorf("writes\n%s\nwant\n%s", got, want)
	}
	args, err := c.args()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []any{int64(7), "seven", int64(1_000_000), int64(1), `{"a":1}`, int64(5)} {
		if args[i] != want {
			t.Errorf("%s is written as %#v, want %#v", c[i].name, args[i], want)
		}
	}
}

// TestWhatIsStoredInAnotherFormIsAFault holds for a database that somebody else wrote to.
func TestWhatIsStoredInAnotherFormIsAFault(t *testing.T) {
	t.Parallel()
	var at time.Time
	var on bool
	var list []string
	for _, c := range []cell{timeAt(&at), boolAt(&on), jsonAt(&list)} {
		if err := c.dest.(interface{ Scan(any) error }).Scan(1.5); err == nil {
			t.Errorf("%T takes a number with a fraction", c.dest)
		}
	}
}
