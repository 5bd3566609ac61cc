package store_test

import (
	"context"
	"slices"
	"testing"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// searchSuite searches 25,000 incidents, every thousandth of which has the word: no part of the
// search is without an end, each part says what is left, and together they find what one search of all finds.
func searchSuite(t *testing.T, fresh func(*testing.T) string) {
	if testing.Short() {
		t.Skip("it needs many incidents")
	}
	ctx := context.Background()
	const many = 25_000
	dsn := fresh(t)
	open := opener(func(*testing.T) string { return dsn })
	check(t, open(t, store.Config{}).Close()) // the schema
	storetest.Remember(t, dsn, many)
	s := open(t, store.Config{})
	for name, f := range map[string]router.IncidentFilter{
		"words":                    {Query: "needle"},
		"words, in small pages":    {Query: "needle", Limit: 2},
		"words of what is over":    {Query: "needle", State: router.IncidentResolved, WABA: "1"},
		"a team, in pages of one":  {Labels: map[string]string{"team": "rare"}, Limit: 1},
		"nothing":                  {Query: "no such words"},
		"nothing of what is going": {Query: "no such words", Active: true},
	} {
		want, err := s.IncidentRows(ctx, with(f, func(f *router.IncidentFilter) { f.Worst, f.Limit = true, 0 }))
		check(t, err)
		var got []int64
		parts := 0
		for {
			rows, rest, err := s.SearchIncidents(ctx, f)
			check(t, err)
			got = append(got, numbersOf(rows)...)
			switch full := f.Limit > 0 && len(rows) == f.Limit; {
			case full && rest.Below > 0:
				t.Errorf("%s: a full page that says where the search ended", name)
			case full && f.Below > 0:
				f.Below = got[len(got)-1]
			case full:
				f.Before = got[len(got)-1]
			default:
				f.Before, f.Below = 0, rest.Below
			}
			if f.Before == 0 && f.Below == 0 {
				break
			}
			if rest.Below > 0 && (rest.Until.IsZero() || rest.Below > many-10_000*int64(parts)) {
				t.Errorf("%s: part %d ended at %+v", name, parts, rest)
			}
			if parts++; parts > 100 {
				t.Fatalf("%s: there is no end", name)
			}
		}
		if !slices.Equal(got, numbersOf(want)) {
			t.Errorf("%s: %v, want %v", name, got, numbersOf(want))
		}
		if !f.Active && f.Limit == 0 && parts != 2 {
			t.Errorf("%s: went on %d times through 25,000 incidents", name, parts)
		}
	}
	t.Run("one that is named is found at once", func(t *testing.T) {
		for _, f := range []router.IncidentFilter{{Query: "INC-7"}, {Flow: "7", Query: "checkout", Limit: 500},
			{Trouble: new(true), Query: "checkout", Limit: 500}} {
			rows, rest, err := s.SearchIncidents(ctx, f)
			check(t, err)
			if len(rows) == 0 || rest.Below != 0 {
				t.Errorf("%+v: %d rows, and not searched: %+v", f, len(rows), rest)
			}
		}
	})
}

func with(f router.IncidentFilter, change func(*router.IncidentFilter)) router.IncidentFilter {
	change(&f)
	return f
}
