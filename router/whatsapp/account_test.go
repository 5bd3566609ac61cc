package whatsapp

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"flowbridge/router"
)

// accountFieldsOf are the fields that have readers of their own, those that have none, and one that nobody knows.
func accountFieldsOf() []string { return append(router.AccountFields(), "a_field_of_tomorrow") }

// FuzzAccount reads any value under every field of the account: each is an event that can be stored, told and folded.
func FuzzAccount(f *testing.F) {
	for _, body := range fixtures(f) {
		for _, entry := range all(body, "entry") {
			for _, change := range all(entry, "changes") {
				members(change, func(key, value []byte) {
					if string(key) == "value" {
						f.Add(value)
					}
				})
			}
		}
	}
	for _, s := range []string{
		`{"event":"ACCOUNT_RESTRICTION","restriction_info":[{"restriction_type":"A","expiration":1e300},{"restriction_type":"A"},7]}`,
		`{"event":"DISABLED_UPDATE","ban_info":{"waba_ban_state":[[["DISABLE"]]]}}`,
		`{"event":"\u0000","display_phone_number":"\ud800"}`,
		`{"a.b":{"":{"":1}},"":2,"current_limit":"TIER_99999999999999999999K"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if !json.Valid(value) {
			return
		}
		for _, field := range accountFieldsOf() {
			events, _ := Decode(fmt.Appendf(nil,
				`{"entry":[{"id":"501","time":1772438400,"changes":[{"field":%q,"value":%s}]}]}`, field, value), noon, nil)
			if len(events) == 0 {
				t.Errorf("%s: nothing is left of it", field)
			}
			for i := range events {
				e := &events[i]
				storable(t, e)
				if e.Name != strings.ToUpper(field) || e.Subject.Kind == "" || e.Unreadable != "" {
					t.Errorf("%s: %+v", field, e)
				}
				state := router.State{FlowID: e.FlowID()}
				step := router.Fold(state, 1, e, router.Verdict{Decision: router.Decision{Severity: router.DefaultSeverity(e)}},
					router.Moment{Now: noon})
				router.Tick(step.State, router.Moment{Now: noon.AddDate(1, 0, 0)})
			}
		}
	})
}

func TestRestrictionsOfOnePostAreEventsOfTheirOwn(t *testing.T) {
	t.Parallel()
	body := func(n int) []byte {
		entries := make([]string, n)
		for i := range entries {
			entries[i] = fmt.Sprintf(`{"restriction_type":"R%d","expiration":%d}`, i, 1773046800+i)
		}
		return fmt.Appendf(nil, `{"entry":[{"id":"501","time":1772438400,"changes":[{"field":"account_update",
			"value":{"event":"ACCOUNT_RESTRICTION","restriction_info":[%s]}}]}]}`, strings.Join(entries, ","))
	}
	for n, want := range map[int]int{1: 1, 2: 2, maxRestrictions: maxRestrictions, maxRestrictions + 1: 1} {
		events, _ := Decode(body(n), noon, nil)
		digests := []string{}
		for _, e := range events {
			digests = append(digests, e.Digest)
		}
		slices.Sort(digests)
		if len(events) != want || len(slices.Compact(digests)) != want {
			t.Errorf("%d restrictions: %d events, %d digests", n, len(events), len(digests))
		}
	}
}

func TestNumbersAndDatesAreReadable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{limitWords("TIER_50"), "50 a day"}, {limitWords("TIER_250"), "250 a day"}, {limitWords("TIER_1K"), "1,000 a day"},
		{limitWords("TIER_100K"), "100,000 a day"}, {limitWords("TIER_1M"), "1,000,000 a day"},
		{limitWords("TIER_UNLIMITED"), "unlimited"},
		{limitWords("1000"), "1,000 a day"}, {limitWords("-1"), "unlimited"}, {limitWords("TIER_NOT_SET"), ""},
		{limitWords("TIER_X"), "TIER_X"},
		{dateWords("December 4, 2026"), "4 December 2026"}, {dateWords("1796400000"), "4 December 2026, 16:00 UTC"},
		{dateWords("1796400000000"), "4 December 2026, 16:00 UTC"}, {dateWords("2026-12-04"), "4 December 2026"},
		{dateWords("soon"), "soon"},
		{tierWords("25000001:50000000"), "25,000,001 to 50,000,000 messages"},
		{tierWords("25000001:"), "more than 25,000,001 messages"},
		{tierWords("x:y"), "x:y"}, {plainWords("INVALID_FORMAT"), "Invalid format"}, {plainWords("As it is."), "As it is."},
		{plainWords(""), ""},
		{reasonWords("NONE"), ""}, {pauseEnd("paused for 6 hours until Nov 28 at 4:47 AM UTC because"),
			"Nov 28 at 4:47 AM UTC"},
		{pauseEnd("paused until further notice"), ""},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
