package router_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
)

// sparePages leaves out of a timeline who was paged by the event itself: what is owed says that in every test, and
// TestTheTimelineSaysWhoIsPaged holds the lines.
func sparePages(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
		return strings.HasSuffix(l, " paged: Paged page") || strings.HasSuffix(l, " paged Paged page") ||
			l == "paged: Paged page"
	})
}

func TestTheTimelineSaysWhoIsPaged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []router.Event
		want   []string
	}{
		{"at once", []router.Event{up(0, 10)}, []string{"opened: Endpoint error rate over 10 %", "paged: Paged page"}},
		{"with the rise that pages", []router.Event{up(0, 5), up(1, 10)}, []string{
			"opened: Endpoint error rate over 5 %",
			"escalated: Endpoint error rate over 10 %; severity rises from warning to error", "paged: Paged page",
		}},
		{"once", []router.Event{up(0, 10), up(1, 50)}, []string{
			"opened: Endpoint error rate over 10 %", "paged: Paged page",
			"escalated: Endpoint error rate over 50 %; severity rises from error to critical",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &history{decide: chatAndPage}
			for _, e := range tt.events {
				h.fold(e)
			}
			if got := timeline(h.entries); !slices.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestHowItStandsWithAPage(t *testing.T) {
	at := time.Date(2026, 3, 14, 22, 41, 0, 0, time.UTC)
	due := at.Add(5 * time.Minute)
	alerts := []router.Alert{{Event: router.EndpointErrorRate, Level: "50", Active: true, Since: at,
		Routes: []router.AlertRoute{{Notifier: "page", Due: due, UnlessAcknowledged: true}}}}
	told := router.Watch{Notifier: "page", Open: true, Since: at}
	for _, tt := range []struct {
		name string
		inc  router.Incident
		want string
	}{
		{"it waits", router.Incident{Watch: []router.Watch{{Notifier: "page"}}}, "Pages page at 22:46 unless acknowledged"},
		{"somebody was faster", router.Incident{State: router.IncidentAcknowledged,
			Watch: []router.Watch{{Notifier: "page"}}},
			"The acknowledgement took the page of page back, which was due at 22:46"},
		{"under a silence", router.Incident{Silence: router.Silence{ID: "s"}, Watch: []router.Watch{{Notifier: "page"}}},
			"page is not paged while it is silenced"},
		{"it was told", router.Incident{Watch: []router.Watch{told}}, "Paged page"},
		{"its service has a number", router.Incident{Watch: []router.Watch{told},
			Links: []router.Link{{Notifier: "page", ID: "Q1", Number: 7}}},
			"Paged page (PagerDuty #7)"},
		{"by hand", router.Incident{Watch: []router.Watch{{Notifier: "page", Open: true, Paged: true,
			PagedBy: "Sam in Slack"}}},
			"Paged page, by Sam in Slack"},
		{"its service ended it", router.Incident{Watch: []router.Watch{{Notifier: "page", Dismissed: router.Error}}},
			"page is not paged until it gets worse: PagerDuty ended its page by itself"},
		{"it is over", router.Incident{State: router.IncidentResolved, Watch: []router.Watch{told}}, ""},
		{"nobody is paged", router.Incident{Watch: []router.Watch{{Notifier: "chat", Open: true}}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.inc.Pageable = []string{"page"}
			var got []string
			for _, p := range tt.inc.Pages(alerts) {
				got = append(got, p.Words(func(t time.Time) string { return t.Format("15:04") }))
			}
			if strings.Join(got, "\n") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
