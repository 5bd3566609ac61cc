package slack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

func TestCommandsAreUnderstood(t *testing.T) {
	t.Parallel()
	type read struct {
		Word     string
		Incident int64
		Span     time.Duration
		Mistake  string
	}
	tests := map[string]read{
		"":                           {Word: "list"},
		"  LIST ":                    {Word: "list"},
		"42":                         {Word: "show", Incident: 42},
		"INC-42":                     {Word: "show", Incident: 42},
		"show #42":                   {Word: "show", Incident: 42},
		"ack 42":                     {Word: "ack", Incident: 42},
		"Acknowledge inc-42":         {Word: "ack", Incident: 42},
		"unack 42":                   {Word: "unack", Incident: 42},
		"resolve 42":                 {Word: "resolve", Incident: 42},
		"reopen 42":                  {Word: "reopen", Incident: 42},
		"page 42":                    {Word: "page", Incident: 42},
		"silence 42 4h":              {Word: "silence", Incident: 42, Span: 4 * time.Hour},
		"silence 42 for 90m":         {Word: "silence", Incident: 42, Span: 90 * time.Minute},
		"silence 42 2d":              {Word: "silence", Incident: 42, Span: 48 * time.Hour},
		"silence 42 until recovered": {Word: "silence", Incident: 42},
		"unsilence 42":               {Word: "unsilence", Incident: 42},
		"help":                       {Word: "help"},
		"akc 42":                     {Mistake: "flowbridge does not know “akc”. Did you mean *ack*?"},
		"resolv 42":                  {Mistake: "flowbridge does not know “resolv”. Did you mean *resolve*?"},
		"acknowlege 42":              {Mistake: "flowbridge does not know “acknowlege”. Did you mean *acknowledge*?"},
		"<!channel> 42":              {Mistake: "flowbridge does not know “&lt;!channel&gt;”."},
		"ack":                        {Word: "ack", Mistake: "Which incident? Write its number: *ack 42*."},
		"ack all":                    {Word: "ack", Mistake: "“all” is no number of an incident: write it as 42 or INC-42."},
		"ack -1":                     {Word: "ack", Mistake: "“-1” is no number of an incident: write it as 42 or INC-42."},
		"ack 0":                      {Word: "ack", Mistake: "“0” is no number of an incident: write it as 42 or INC-42."},
		"ack 99999999999999999999": {Word: "ack",
			Mistake: "“99999999999999999999” is no number of an incident: write it as 42 or INC-42."},
		"ack 42 now": {Word: "ack", Incident: 42, Mistake: "“now” is too much after the number."},
		"silence 42": {Word: "silence", Incident: 42,
			Mistake: "For how long? Write *silence 42 4h*, or *silence 42 recovered*."},
		"silence 42 soon": {Word: "silence", Incident: 42,
			Mistake: "\"soon\" is no length of time: write 30m, 4h, 2d or recovered."},
		"silence 42 1s":  {Word: "silence", Incident: 42, Mistake: "A silence lasts from 1 minute to 30 days, not 1s."},
		"silence 42 31d": {Word: "silence", Incident: 42, Mistake: "A silence lasts from 1 minute to 30 days, not 31d."},
	}
	for text, want := range tests {
		c, mistake := readCommand(text)
		if diff := cmp.Diff(want, read{c.word, c.incident, c.span, mistake}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestTheCommandShowsWhatIsOpen(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if got, want := d.write(""), ":white_check_mark: Nothing is open."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	d.card(with(opened(), func(_ *router.Notification, inc *router.Incident) { inc.FlowName = hostile }))
	d.ledger.set(with(acked(), func(n *router.Notification, inc *router.Incident) {
		inc.Number, inc.Owner = 43, "Cleo"
		inc.Links = []router.Link{{Notifier: "payments-oncall", ID: "Q1", Number: 7,
			URL: "https://example.pagerduty.com/incidents/Q1"}}
	}), router.Receipt{})
	d.ledger.set(with(resolvedOne(), func(_ *router.Notification, inc *router.Incident) { inc.Number = 44 }),
		router.Receipt{})
	d.ledger.set(with(cards()["resolved-by-hand"], func(_ *router.Notification, inc *router.Incident) { inc.Number = 45 }),
		router.Receipt{})
	golden(t, "commands.json", map[string]string{
		"1 list": d.write(""), "2 open": d.write("42"), "3 acknowledged": d.write("show 43"), "4 resolved": d.write("44"),
		"5 by hand": d.write("45"),
		"6 unknown": d.write("46"), "7 help": d.write("help"), "8 mistake": d.write("sho 42"),
	})
	if got := d.ledger.stored(); len(got) > 0 {
		t.Errorf("who only looks changes nothing, and %+v was stored", got)
	}
}

func TestTheCommandSaysWhoCouldNotBePaged(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, state := range []router.DeliveryState{router.DeliveryParked, router.DeliveryWaiting} {
		d.ledger.set(opened(), router.Receipt{})
		inc := d.ledger.incidents[42]
		inc.Pageable, inc.Links = []string{"payments-oncall"}, nil
		inc.Watch = []router.Watch{{Notifier: "payments-oncall", Open: true}}
		inc.Deliveries[1].State = state
		d.ledger.incidents[42] = inc
		got := d.write("42")
		if strings.Contains(got, "Paged") ||
			!strings.Contains(got, ":warning: payments-oncall could not be told: PagerDuty refused: &lt;key&gt;") {
			t.Errorf("%s: %s", state, got)
		}
	}
}

func TestTheListIsBounded(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for i := int64(1); i <= 40; i++ {
		d.ledger.set(with(longest(), func(_ *router.Notification, inc *router.Incident) { inc.Number = i }),
			router.Receipt{Link: "https://sandbox.slack.com/archives/C1/p1"})
	}
	for _, text := range []string{"", "40"} {
		if got := utf8.RuneCountInString(d.write(text)); got > hookText || got < 500 {
			t.Errorf("/flows %s says %d characters", text, got)
		}
	}
}

func TestTheCommandActs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		now              router.Notification
		text, act, wants string
	}{
		{opened(), "ack 42", router.Acknowledge, "INC-42: acknowledged."},
		{acked(), "unack 42", router.Unacknowledge, "INC-42: no longer acknowledged."},
		{opened(), "resolve 42", router.Resolve,
			"INC-42: resolved. Meta still reports it: when it gets worse, it opens again."},
		{opened(), "silence 42 4h", router.AddSilence, "INC-42: silenced for 4 h."},
		{opened(), "silence 42 recovered", router.AddSilence, "INC-42: silenced until it has recovered."},
		{cards()["silenced-from-its-card"], "unsilence 42", router.EndSilence, "INC-42: no longer silenced."},
		{cards()["somebody-is-left-to-page"], "page 42", router.PageNow, "INC-42: paging backup-oncall."},
		{resolvedOne(), "ack 42", "", "INC-42: already resolved by Meta at <!date^1773464700^{time}|05:05 UTC>"},
	}
	for _, test := range tests {
		t.Run(test.text+test.act, func(t *testing.T) {
			d := newDesk(t)
			d.card(opened())
			d.ledger.set(test.now, d.receipt)
			if got := d.write(test.text); got != test.wants {
				t.Errorf("answered %q, want %q", got, test.wants)
			}
			act := ""
			for _, e := range d.ledger.stored() {
				act += e.Name
				if e.Act.Notifier != "payments-chat" || e.Act.Actor != "sam.lee" || e.Source != router.SourceSlack {
					t.Errorf("stored %+v", e.Act)
				}
			}
			if act != test.act {
				t.Errorf("stored %q, want %q", act, test.act)
			}
		})
	}
}

func TestTheListHoldsForCommandsToo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	d.allow = []string{"U0BOB"}
	if got := d.write("ack 42"); !strings.Contains(got, "not on the list") {
		t.Errorf("answered %q", got)
	}
	if got := d.write("42"); !strings.Contains(got, "INC-42") || strings.Contains(got, "list") {
		t.Errorf("everybody may look: %q", got)
	}
	// An incident that no channel was told of: whoever is on some list.
	n := opened()
	d.ledger.mu.Lock()
	d.ledger.incidents[42] = router.IncidentDetail{Incident: *n.Incident, Alerts: n.Alerts}
	d.ledger.mu.Unlock()
	if got := d.write("ack 42"); !strings.Contains(got, "not on the list") {
		t.Errorf("answered %q", got)
	}
	d.allow = nil
	if got := d.write("ack 42"); got != "INC-42: acknowledged." {
		t.Errorf("answered %q", got)
	}
}

func TestTheSameCommandTwiceIsTwoRequests(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	sent, err := d.slack.Write(t.Context(), sandbox.Command{Text: "ack 42"})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := d.slack.Repeat(t.Context(), sent); err != nil || again.Status != http.StatusOK ||
		again.Text() != sent.Text() {
		t.Errorf("the same request again: %+v %v", again, err)
	}
	if got := len(d.ledger.stored()); got != 1 {
		t.Errorf("a request that came twice was stored %d times", got)
	}
	d.write("ack 42")
	if got := len(d.ledger.stored()); got != 2 {
		t.Errorf("who writes twice means it: stored %d", got)
	}
}

// FuzzReadCommand tries what nobody would write: it is answered, and nothing in the answer means anything to Slack.
func FuzzReadCommand(f *testing.F) {
	for _, s := range []string{"", "ack 42", "silence 42 4h", hostile, "silence 1 ∞d", "\xff 42"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, mistake := readCommand(text)
		if mistake == "" && c.act != "" && c.incident <= 0 {
			t.Errorf("%q: acts on incident %d", text, c.incident)
		}
		if c.span < 0 || c.span > longestSilence {
			t.Errorf("%q: silences for %s", text, c.span)
		}
		if !utf8.ValidString(mistake) ||
			strings.ContainsAny(strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(mistake), "&<>`") {
			t.Errorf("%q: %q", text, mistake)
		}
	})
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"ack", "ack", 0}, {"akc", "ack", 2}, {"ak", "ack", 1}, {"", "ack", 3}, {"kitten", "sitting", 3}} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%s", fmt.Sprint(test, got))
		}
	}
}
