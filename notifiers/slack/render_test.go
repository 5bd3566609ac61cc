package slack

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/sandbox/sandboxtest"
	"flowbridge/router"
)

var update = flag.Bool("update", false, "write the golden files")

// began is when the trouble of these tests starts.
var began = time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)

func ptr(v float64) *float64 { return &v }

var checkout = router.FlowInfo{
	FlowName: "Checkout", Labels: map[string]string{"team": "payments"}, Runbook: "https://runbooks.example.com/checkout",
}

// opened is an incident of which nothing was told: the error rate of an endpoint went over 5 %.
func opened() router.Notification {
	return router.Notification{
		Delivery: 7, Revision: 1, Attempt: 1, Open: true, Severity: router.Warning,
		Target: router.Target{Notifier: "payments-chat", Kind: router.KindSlack, Address: "#payments"},
		Incident: &router.Incident{
			Number: 42, WABA: "104996122399160", Flow: "1987937931743377", Event: router.EndpointErrorRate, FlowInfo: checkout,
			State: router.IncidentOpen, Severity: router.Warning, Peak: router.Warning, Path: []router.Level{"5"},
			Rule: "payments endpoint is failing", Events: 1, Revision: 1, OpenedAt: began, Entries: 1,
		},
		Alerts: []router.Alert{{
			Event: router.EndpointErrorRate, Level: "5", Active: true, Raised: began, Since: began, Severity: router.Warning,
			Incident: 42,
			Reading: router.Reading{Value: ptr(6.2), Errors: []router.ErrorCount{
				{Type: "timeout_error", Rate: ptr(66.66), Count: ptr(2)},
				{Type: "unexpected_http_status_code", Rate: ptr(33.33), Count: ptr(1)},
			}},
		}},
		Timeline: []router.Entry{entry(1, router.EntryOpened, "Endpoint error rate over 5 %: now 6.2 %")},
		Link:     "https://flowbridge.example.com/incidents/42",
	}
}

func entry(n int64, kind router.EntryKind, text string) router.Entry {
	at := began.Add(time.Duration(n-1) * time.Minute)
	return router.Entry{Incident: 42, N: n, At: at, Recorded: at.Add(time.Second), Kind: kind, Text: text, Event: n}
}

// told says that the channel has the root message, and the timeline up to an entry.
func told(n router.Notification, entries int64) router.Notification {
	n.Receipt = router.Receipt{
		Own:  put(own{Channel: "C0SANDBOX01", TS: "1773457201.000000"}),
		Link: "https://sandbox.slack.com/archives/C0SANDBOX01/p1773457201000000",
		Told: entries, Open: true, Severity: router.Warning,
	}
	n.MayExist = true
	return n
}

// escalated is opened, ten minutes later.
func escalated() router.Notification {
	n := told(opened(), 1)
	n.Revision, n.Severity = 2, router.Critical
	inc := *n.Incident
	inc.Severity, inc.Peak, inc.Path, inc.Events, inc.Revision, inc.Entries = router.Critical, router.Critical,
		[]router.Level{"5", "50"}, 2, 2, 2
	n.Incident = &inc
	at := began.Add(10 * time.Minute)
	n.Alerts = append([]router.Alert{{
		Event: router.EndpointErrorRate, Level: "50", Active: true, Raised: at, Since: at, Severity: router.Critical,
		Incident: 42,
		Reading: router.Reading{Value: ptr(62.5), Requests: ptr(1200),
			Errors: []router.ErrorCount{{Type: "TIMEOUT", Rate: ptr(80), Count: ptr(600)}}}, Before: ptr(6.2),
	}}, n.Alerts...)
	n.Timeline = []router.Entry{entry(2, router.EntryEscalated,
		"Endpoint error rate over 50 %: now 62.5 %; severity rises from warning to critical")}
	n.Related = []router.Related{{Notifier: "payments-oncall", Kind: router.KindPagerDuty,
		Link: "https://example.pagerduty.com/incidents/Q1"}}
	return n
}

// partlyRecovered is escalated with the worst of it gone.
func partlyRecovered() router.Notification {
	n := told(escalated(), 2)
	n.Revision, n.Severity = 3, router.Warning
	inc := *n.Incident
	inc.Severity, inc.Events, inc.Revision, inc.Entries = router.Warning, 3, 3, 3
	n.Incident = &inc
	at := began.Add(20 * time.Minute)
	over, still := n.Alerts[0], n.Alerts[1]
	over.Active, over.Until, over.Before, over.Reading = false, at, ptr(62.5), router.Reading{Value: ptr(8)}
	n.Alerts = []router.Alert{still, over}
	n.Timeline = []router.Entry{entry(3, router.EntryEased,
		"Endpoint error rate back under 50 %: now 8 %; still active: Endpoint error rate over 5 %")}
	return n
}

func acked() router.Notification {
	n := told(escalated(), 2)
	n.Revision = 3
	inc := *n.Incident
	inc.State, inc.AcknowledgedAt, inc.AcknowledgedBy = router.IncidentAcknowledged, began.Add(12*time.Minute), "Sam"
	n.Incident = &inc
	n.Timeline = []router.Entry{entry(3, router.EntryAcknowledged, "Acknowledged by Sam")}
	return n
}

func resolvedOne() router.Notification { return resolvedFrom(acked()) }

func resolvedFrom(n router.Notification) router.Notification {
	n.Revision, n.Open = n.Revision+1, false
	inc := *n.Incident
	inc.State, inc.ResolvedAt, inc.Severity = router.IncidentResolved, began.Add(125*time.Minute), inc.Peak
	n.Incident = &inc
	n.Alerts = append([]router.Alert(nil), n.Alerts...)
	for i := range n.Alerts {
		n.Alerts[i].Active, n.Alerts[i].Until = false, inc.ResolvedAt
	}
	n.Timeline = []router.Entry{entry(4, router.EntryResolved,
		"Endpoint error rate back under 5 %: now 1 % after 2 h 5 min")}
	return n
}

func noticed(note router.Notice) router.Notification {
	note.Event, note.At, note.WABA, note.Rule = 99, began, "104996122399160", "news of flows"
	return router.Notification{
		Delivery: 8, Revision: 1, Attempt: 1, Severity: note.Severity, Notice: &note,
		Target: router.Target{Notifier: "ops-chat", Kind: router.KindSlack, Address: "#payments"},
	}
}

// with changes a copy of a notification's incident.
func with(n router.Notification, change func(*router.Notification, *router.Incident)) router.Notification {
	inc := *n.Incident
	n.Incident = &inc
	change(&n, &inc)
	return n
}

// paging says that the rules page somebody after five minutes, unless somebody has acknowledged it by then.
func paging(n *router.Notification, inc *router.Incident) {
	inc.Pageable, inc.Watch = []string{"payments-oncall"}, []router.Watch{{Notifier: "payments-chat", Open: true},
		{Notifier: "payments-oncall"}}
	n.Alerts = append([]router.Alert(nil), n.Alerts...)
	n.Alerts[0].Routes = []router.AlertRoute{{Notifier: "payments-oncall", Due: began.Add(15 * time.Minute),
		UnlessAcknowledged: true}}
}

// calling is the route of an alert that calls people.
func calling(who ...string) []router.AlertRoute {
	return []router.AlertRoute{{Notifier: "another", Mention: []string{"U0THERABCD"}},
		{Notifier: "payments-chat", Mention: who}}
}

const hostile = "<!channel> *x* & ``` <https://evil.example.com|here> @here\n\x1b[31m\u202Ered"

// longest is everything that a card can hold, each as long as it can get and of what grows when it is escaped.
func longest() router.Notification {
	long := strings.Repeat("&<`long text> ", 500)
	url := "https://example.com/" + strings.Repeat("x", 2900)
	var fields []router.Field
	var also, active []router.Alert
	var problems []router.Problem
	var related []router.Related
	var errors []router.ErrorCount
	labels := map[string]string{}
	var path []router.Level
	for i := range 60 {
		fields = append(fields, router.Field{Name: fmt.Sprint(i, long), Value: long})
		also = append(also, router.Alert{Event: fmt.Sprint(i, long), Level: router.Level(long), Active: true,
			Incident: 1 << 60})
		active = append(active, router.Alert{Event: fmt.Sprint("SIGNAL", i, long), Level: router.Level(long),
			Active: i%2 == 0, Severity: router.Critical})
		problems = append(problems, router.Problem{Notifier: long, Error: long})
		related = append(related, router.Related{Notifier: long, Kind: router.KindPagerDuty, Link: url})
		errors = append(errors, router.ErrorCount{Type: long, Rate: ptr(1e300), Count: ptr(1e300)})
		labels[fmt.Sprint(i, long)] = long
		path = append(path, router.Level(long))
	}
	return with(opened(), func(n *router.Notification, inc *router.Incident) {
		inc.Number, n.Delivery, n.Revision, inc.Events = 1<<60, 1<<60, 1<<60, 1<<60
		inc.State, inc.AcknowledgedBy = router.IncidentAcknowledged, long
		inc.FlowInfo = router.FlowInfo{FlowName: long, Labels: labels, Runbook: url}
		inc.Title, inc.Text, inc.Rule, inc.Path, inc.Fields, inc.Flaps = long, long, long, path, fields, 1<<60
		n.Alerts[0].Reading = router.Reading{Value: ptr(1e300), P50: ptr(1e300), Requests: ptr(1e300), Errors: errors}
		n.Alerts[0].Before = ptr(-1e300)
		n.Alerts = append(n.Alerts, active...)
		n.Also, n.Problems, n.Related, n.Link = also, problems, related, url
		for i := range 30 {
			inc.Facts = append(inc.Facts, router.Fact{Name: fmt.Sprint(i, long), Text: long})
		}
		inc.Owner, inc.Pageable = long, []string{long, "more " + long}
		inc.Silence = router.Silence{ID: "s1", By: long, Why: long}
		for i := range 5 {
			inc.Links = append(inc.Links, router.Link{Notifier: long, ID: long, URL: url[:450], Number: int64(i) << 50})
		}
	})
}

// cards are the cases: a new one is a row and a run with -update.
func cards() map[string]router.Notification {
	return map[string]router.Notification{
		"opened":           opened(),
		"escalated":        escalated(),
		"partly-recovered": partlyRecovered(),
		"acknowledged":     acked(),
		"without-buttons":  escalated(),
		"resolved":         resolvedOne(),
		"resolved-by-hand": with(resolvedOne(), func(n *router.Notification, inc *router.Incident) {
			inc.ResolvedBy, inc.AcknowledgedAt = "Sam", time.Time{}
			n.Alerts = escalated().Alerts
		}),
		"over-for-this-channel": with(resolvedOne(), func(n *router.Notification, inc *router.Incident) {
			inc.State, inc.Severity = router.IncidentOpen, router.Critical
		}),
		"missed": with(resolvedFrom(opened()), func(n *router.Notification, inc *router.Incident) {
			inc.ResolvedAt = began.Add(3 * time.Minute)
		}),
		"reopened": with(escalated(), func(n *router.Notification, inc *router.Incident) {
			n.Receipt.Open = false
		}),
		"recovering": with(escalated(), func(n *router.Notification, inc *router.Incident) {
			inc.Flaps = 2
			for i := range n.Alerts {
				n.Alerts[i].Active, n.Alerts[i].HeldUntil = false, began.Add(time.Hour)
			}
		}),
		"silenced": with(escalated(), func(n *router.Notification, inc *router.Incident) {
			inc.Silence = router.Silence{ID: "s1", Until: began.Add(2 * time.Hour), By: "Sam", Why: "known"}
		}),
		"silenced-from-its-card": with(acked(), func(n *router.Notification, inc *router.Incident) {
			inc.Silence = router.Silence{ID: "s1", Scope: router.Scope{WABA: inc.WABA, Flow: inc.Flow, Event: inc.Event},
				By: "Sam"}
		}),
		"thread-takes-no-replies": with(acked(), func(n *router.Notification, inc *router.Incident) {
			n.Receipt = altered(n.Receipt, func(o *own) { o.Mute = true })
		}),
		"somebody-is-left-to-page": with(escalated(), func(n *router.Notification, inc *router.Incident) {
			inc.Pageable = []string{"backup-oncall", "payments-oncall"}
			inc.Watch = []router.Watch{{Notifier: "payments-chat", Open: true}, {Notifier: "payments-oncall", Open: true}}
		}),
		"page-waits": with(escalated(), func(n *router.Notification, inc *router.Incident) {
			paging(n, inc)
			n.Timeline = nil
		}),
		"acknowledgement-took-a-page-back": with(acked(), paging),
		"paged": with(escalated(), func(n *router.Notification, inc *router.Incident) {
			inc.Pageable = []string{"backup-oncall", "payments-oncall"}
			inc.Watch = []router.Watch{
				{Notifier: "backup-oncall", Open: true, Paged: true, PagedBy: "Sam <x> in Slack"},
				{Notifier: "payments-oncall", Open: true},
			}
			inc.Links = []router.Link{{Notifier: "payments-oncall", ID: "Q1", Number: 7,
				URL: "https://example.pagerduty.com/incidents/Q1"}}
			n.Timeline = append(n.Timeline, entry(3, router.EntryPaged, "Paged payments-oncall"))
		}),
		"owned-in-pagerduty": with(acked(), func(n *router.Notification, inc *router.Incident) {
			inc.Owner, inc.Flaps = "Cleo <x>", 3
			inc.Links = []router.Link{{Notifier: "payments-oncall", ID: "Q1", Number: 1234,
				URL: "https://example.pagerduty.com/incidents/Q1"}, {Notifier: "backup-oncall", ID: "Q2"}}
			inc.Pageable, inc.Watch = []string{"payments-oncall"}, []router.Watch{{Notifier: "payments-oncall", Open: true}}
		}),
		"blocked": with(opened(), func(n *router.Notification, inc *router.Incident) {
			inc.Event, inc.Path, n.Severity = router.FlowStatusChange, []router.Level{router.Throttled, router.Blocked},
				router.Critical
			n.Alerts = []router.Alert{
				{Event: router.FlowStatusChange, Level: router.Blocked, Active: true, Raised: began, Severity: router.Critical},
				{Event: router.FlowStatusChange, Level: router.Throttled, Active: true, Raised: began, Severity: router.Error},
			}
		}),
		"by-flow-with-words-of-the-rule": with(opened(), func(n *router.Notification, inc *router.Incident) {
			inc.Title, inc.Text = "Checkout hurts", "Ask the provider first.\nThen wake somebody."
			inc.Fields = []router.Field{{Name: "reason", Value: "deploy"}, {Name: "empty", Value: ""}}
			n.Alerts = append(n.Alerts, router.Alert{
				Event: router.EndpointLatency, Level: "5000", Active: true, Raised: began, Severity: router.Error,
				Reading: router.Reading{Value: ptr(7200), P50: ptr(850)},
			})
		}),
		"also-active-and-problem": with(escalated(), func(n *router.Notification, inc *router.Incident) {
			n.Also = []router.Alert{
				{Event: router.EndpointLatency, Level: "5000", Active: true, Incident: 41},
				{Event: router.EndpointLatency, Level: "1000", Active: true, Incident: 41},
				{Event: router.EndpointAvailability, Level: "90", Active: true, Incident: 40},
			}
			n.Problems = []router.Problem{{Notifier: "payments-oncall",
				Error: "PagerDuty refused: invalid routing key (check the integration key)"}}
		}),
		"hostile-flow-name": with(opened(), func(n *router.Notification, inc *router.Incident) {
			inc.FlowName, inc.Rule, inc.Labels = hostile, hostile, map[string]string{"team": hostile}
			inc.Runbook, n.Link = "javascript:alert(1)", "https://example.com/a|b>"
			n.Alerts[0].Errors[0].Type = hostile
		}),
		"longest": longest(),
		"calls-people": with(opened(), func(n *router.Notification, inc *router.Incident) {
			n.Alerts[0].Routes = calling("U0123ABCD", "S0123ABCD", "U9'>", "W0123ABCD")
		}),
		"notice-status": noticed(router.Notice{
			Name: router.FlowStatusChange, Severity: router.Info, Flow: "1987937931743377", FlowInfo: checkout,
			OldStatus: router.Draft, NewStatus: router.Published,
			Message: "Flow Checkout changed status from DRAFT to PUBLISHED",
		}),
		"notice-expiry": noticed(router.Notice{
			Name: router.FlowVersionExpiryWarning, Severity: router.Warning, Flow: "1987937931743377", FlowInfo: checkout,
			Warning: "Version 3.1 will expire soon: migrate to a newer one.",
		}),
		"notice-other-field": noticed(router.Notice{
			Name: "MESSAGE_TEMPLATE_STATUS_UPDATE", Severity: router.Info,
			Fields: []router.Field{{Name: "message_template_name", Value: "order_update"}, {Name: "event", Value: "REJECTED"}},
		}),
		"notice-good-news": noticed(router.Notice{
			Name: "MESSAGE_TEMPLATE_QUALITY_UPDATE", Severity: router.Info, Change: "GREEN", AlertState: router.Deactivated,
			Subject: router.Subject{Kind: router.SubjectTemplate, ID: "7:en", Name: "hello (en)"},
			Facts:   []router.Fact{{Name: "Quality", Text: "Green"}},
		}),
		"account-is-restricted": with(opened(), func(n *router.Notification, inc *router.Incident) {
			inc.Event, inc.Flow, inc.FlowInfo = router.AccountRestriction, "account:", router.FlowInfo{AccountName: "Acme <EU>"}
			inc.Subject, inc.Path = router.Subject{Kind: router.SubjectAccount}, nil
			inc.Facts = []router.Fact{{Name: "Until", Text: "7 April 2026"},
				{Name: "What to do", Text: hostile + strings.Repeat(" and so on", 20)}}
			n.Alerts = []router.Alert{
				{Event: router.AccountRestriction, Level: "RESTRICTED_BIZ_INITIATED_MESSAGING", Active: true,
					Severity: router.Error},
				{Event: router.AccountRestriction, Level: "<RESTRICTED_ANEW>", Active: true, Severity: router.Error},
			}
		}),
		"notice-illegible": func() router.Notification {
			n := noticed(router.Illegible(99, began, router.Error))
			n.Notice.WABA, n.Notice.Rule = "", "unknown"
			return n
		}(),
		"notice-unknown": noticed(router.Notice{Name: "", Severity: router.Error, Flow: "1"}),
		"notice-recovery": noticed(router.Notice{
			Name: router.EndpointErrorRate, Severity: router.Info, Flow: "1987937931743377", FlowInfo: checkout,
			AlertState: router.Deactivated,
			Threshold:  ptr(10), Reading: router.Reading{Value: ptr(3)}, Recovery: "flowbridge/1/2/3",
		}),
		"notice-parked": noticed(router.Notice{
			Name: router.ParkedDelivery, Severity: router.Error, Flow: "1987937931743377", FlowInfo: checkout,
			Act: &router.Act{
				Incident: 42, Notifier: "payments-oncall",
				Error: "PagerDuty refused: invalid routing key (check the integration key)",
				About: "critical: Checkout: Endpoint error rate over 50 %", Delivery: 17,
			},
		}),
		"flow-response": noticed(router.Notice{
			Name: router.FlowResponse, Severity: router.Info,
			Fields: []router.Field{{Name: "city", Value: "Utrecht"}, {Name: "rating", Value: "4"}},
		}),
	}
}

func TestCardsLookAsTheyShould(t *testing.T) {
	t.Parallel()
	for name, n := range cards() {
		t.Run(name, func(t *testing.T) {
			c := render(&n, name != "without-buttons")
			drawn := c
			if name == "calls-people" {
				c = c.calling(&n)
			}
			got := struct {
				Text        string             `json:"text"`
				Blocks      []slack.Block      `json:"blocks,omitempty"`
				Attachments []slack.Attachment `json:"attachments,omitempty"`
			}{Text: c.text, Blocks: c.head}
			if len(c.body) > 0 {
				got.Attachments = []slack.Attachment{{Color: c.color, Blocks: slack.Blocks{BlockSet: c.body}}}
			}
			golden(t, name+".json", got)
			if diff := cmp.Diff(drawn, render(&n, name != "without-buttons"), cmp.AllowUnexported(card{})); diff != "" {
				t.Errorf("drawn twice, it differs:\n%s", diff)
			}
			if size := utf8.RuneCountInString(c.text); size > sentence {
				t.Errorf("the sentence has %d characters, want at most %d", size, sentence)
			}
		})
	}
}

func TestSlackTakesEveryCard(t *testing.T) {
	t.Parallel()
	for name, n := range cards() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if _, _, _, err := w.notifier.clients.now().PostMessageWithResponseContext(t.Context(), "#payments",
				render(&n, true).options()...); err != nil {
				t.Fatalf("%+v", err)
			}
			drawn := w.slack.Render("#payments", sandbox.RenderOptions{})
			t.Logf("\n%s", drawn)
			root := w.slack.Messages("#payments")[0]
			all := root.Text + string(root.Blocks) + string(root.Attachments)
			for _, banned := range []string{"<!channel>", "<!here>", "<https://evil", "\x1b", "\u202E", "javascript:"} {
				if strings.Contains(jsonEscapes.Replace(all), banned) {
					t.Errorf("the card holds %q", banned)
				}
			}
		})
	}
}

// jsonEscapes undoes what json.Marshal does to what we look for.
var jsonEscapes = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `\u001b`, "\x1b", `\u202e`, "\u202E")

func TestWhatMattersLeastGoesFirst(t *testing.T) {
	t.Parallel()
	p := &parts{prefix: "x/"}
	p.section(needed, "head", strings.Repeat("h", 40))
	p.section(helpful, "table", strings.Repeat("t", 40))
	p.section(smallPrint, "foot", strings.Repeat("f", 40))
	p.section(helpful, "table-2", strings.Repeat("t", 40))
	for room, want := range map[int][]string{160: {"head", "table", "foot", "table-2"}, 159: {"head", "table", "table-2"},
		119: {"head", "table"}, 79: {"head"}} {
		q := &parts{list: append([]part(nil), p.list...)}
		var got []string
		for _, b := range q.fit(room) {
			got = append(got, strings.TrimPrefix(b.(*slack.SectionBlock).BlockID, "x/"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("room for %d (-want +got):\n%s", room, diff)
		}
	}
}

func TestAValueIsCutWithoutBreakingAnEntity(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		most int
		want string
	}{
		{"short", 10, "short"},
		{"exactly ten", 11, "exactly ten"},
		{"exactly ten!", 11, "exactly te…"},
		{"a & b", 9, "a &amp; b"},
		{"a & b & c", 9, "a &amp; …"},
		{"a & b & c", 6, "a …"},
		{"<!channel>", 100, "&lt;!channel&gt;"},
		{"*bold* `code` ~gone~ _kept_", 100, "∗bold∗ ˋcodeˋ ∼gone∼ _kept_"},
		{" two\n\tlines ", 100, "two lines"},
		{"", 10, ""},
	}
	for _, test := range tests {
		if got := line(test.in, test.most); got != test.want {
			t.Errorf("line(%q, %d) = %q, want %q", test.in, test.most, got, test.want)
		}
	}
	if got, want := prose(" two\nlines\x00 ", 100), "two\nlines"; got != want {
		t.Errorf("prose: %q, want %q", got, want)
	}
}

// FuzzLine tries values that nobody thought of: they stay within their room, and nothing in them means anything to
// Slack.
func FuzzLine(f *testing.F) {
	f.Add(hostile, 30)
	f.Add("&&&&", 7)
	f.Add("\xff<", 1)
	f.Fuzz(func(t *testing.T, s string, most int) {
		if most < 1 || most > 5000 {
			return
		}
		for _, got := range []string{line(s, most), prose(s, most)} {
			rest := strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(got)
			if utf8.RuneCountInString(got) > most || !utf8.ValidString(got) || strings.ContainsAny(rest, "&<>*`~") {
				t.Errorf("%q, at most %d: %q", s, most, got)
			}
		}
	})
}

// golden compares v, as indented JSON, with a file of testdata.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Golden(t, filepath.Join("testdata", name), got.String(), *update)
}

func TestWhoWasPagedGoesOnInTheLineOfWhatPagedThem(t *testing.T) {
	t.Parallel()
	n := escalated()
	paged := entry(3, router.EntryPaged, "Paged payments-oncall")
	paged.Event = n.Timeline[0].Event
	alone := entry(4, router.EntryPaged, "Paged backup-oncall, by Sam in Slack")
	n.Timeline = append(n.Timeline, paged, alone)
	var got []string
	for _, r := range replies(&n) {
		got = append(got, fmt.Sprint(r.entry, " ", r.text))
	}
	want := []string{
		"3 :arrow_up: Endpoint error rate over 50 %: now 62.5 %; severity rises from warning to critical. Paged " +
			"payments-oncall",
		"4 :pager: Paged backup-oncall, by Sam in Slack",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if countReplies(&n) != len(want) {
		t.Errorf("%d lines are charged for, want %d", countReplies(&n), len(want))
	}
}

// TestACardSaysThatAPageIsNotMadeYet holds that a card does not say "Paged" of somebody whose service takes nothing.
func TestACardSaysThatAPageIsNotMadeYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.sync(with(opened(), func(n *router.Notification, inc *router.Incident) {
		inc.Pageable, inc.Watch = []string{"oncall"}, []router.Watch{{Notifier: "oncall", Open: true, Opening: 1}}
		n.Problems = []router.Problem{{Notifier: "oncall", Error: "PagerDuty answered 503", Since: began}}
	}))
	card := w.onCard(ownOf(r).TS)
	if !strings.Contains(card, "could not be paged yet: PagerDuty answered 503; due since ") ||
		strings.Contains(card, "Paged oncall") {
		t.Errorf("the card says %s", card)
	}
}
