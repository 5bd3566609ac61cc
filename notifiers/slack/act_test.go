package slack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

func TestAPressIsOnDiskBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	sent := d.press(sandbox.Press{Action: "acknowledge", User: "U0SAM"})
	if sent.Status != http.StatusOK {
		t.Fatalf("answered %d", sent.Status)
	}
	got := d.ledger.stored()
	if len(got) != 1 {
		t.Fatalf("stored %d events, want one", len(got))
	}
	want := router.Event{
		Digest: got[0].Digest, Source: router.SourceSlack, Name: router.Acknowledge, At: d.clock(), Received: d.clock(),
		WABA: "104996122399160", Flow: "1987937931743377",
		// Without users:read: the handle.
		Act: &router.Act{Incident: 42, Actor: "sam.lee", Notifier: "payments-chat", Verified: router.VerifiedSlack,
			From: "Slack, user U0SAM"},
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("the event (-want +got):\n%s", diff)
	}
	if again, err := d.slack.Repeat(t.Context(), sent); err != nil || again.Status != http.StatusOK {
		t.Errorf("the same request again: %+v %v", again, err)
	}
	took := acked() // and once more when it has happened: they need not be told of their own act
	took.Timeline = []router.Entry{{Incident: 42, N: 2, At: d.clock(), Kind: router.EntryAcknowledged}}
	d.ledger.set(took, d.receipt)
	if again, err := d.slack.Repeat(t.Context(), sent); err != nil || again.Status != http.StatusOK {
		t.Errorf("the same request again: %+v %v", again, err)
	}
	d.receiver.recent = digests{} // another process knows nothing of it: the journal does
	d.ledger.set(opened(), d.receipt)
	if _, err := d.slack.Repeat(t.Context(), sent); err != nil {
		t.Error(err)
	}
	if got := d.ledger.stored(); len(got) != 1 {
		t.Errorf("the same request three times stored %d events", len(got))
	}
	d.over(0)
}

func TestAPressHappenedWhenItWasPressed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	now := d.clock()
	tests := []struct{ pressed, want time.Time }{
		{now.Add(-3 * time.Second), now.Add(-3 * time.Second)},
		{now.Add(-90*time.Minute - 1234*time.Microsecond), now.Add(-90*time.Minute - 1234*time.Microsecond)},
		{now.Add(-24 * time.Hour), now.Add(-24 * time.Hour)},
		{now.Add(-25 * time.Hour), now}, // nobody can have meant that
		{now.Add(5 * time.Second), now}, // a clock that is ahead
	}
	for i, test := range tests {
		d.press(sandbox.Press{Action: "acknowledge", User: "U0SAM", At: test.pressed})
		got := d.ledger.stored()
		if len(got) != i+1 {
			t.Fatalf("stored %d events", len(got))
		}
		if e := got[i]; !e.At.Equal(test.want) || !e.Received.Equal(now) || e.At.Location() != time.UTC {
			t.Errorf("pressed at %s: at %s, received %s; want %s", test.pressed, e.At, e.Received, test.want)
		}
	}
	d.write("resolve 42") // when a command was written nothing says
	if got := d.ledger.stored(); !got[len(got)-1].At.Equal(now) {
		t.Errorf("a command happened at %s", got[len(got)-1].At)
	}
}

func TestATimeThatIsNoneIsNone(t *testing.T) {
	t.Parallel()
	for ts, want := range map[string]int64{
		"1773457260.123456": 1773457260123456, "1773457260.5": 1773457260500000, "1773457260": 1773457260000000,
		"1773457260.1234567": 1773457260123456,
	} {
		if got := pressedAt(ts).UnixMicro(); got != want {
			t.Errorf("%q is %d, want %d", ts, got, want)
		}
	}
	for _, ts := range []string{"", ".", "x", "-1.0", "1.x", "1.-5", "99999999999999999999.0", "1e9"} {
		if got := pressedAt(ts); !got.IsZero() {
			t.Errorf("%q is %s", ts, got)
		}
	}
}

func TestWithTheScopePeopleAreCalledAsTheyShow(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(there *sandbox.SlackConfig, _ *ReceiverConfig) {
		there.Scopes = []string{"chat:write", "users:read"}
	})
	d.card(opened())
	d.press(sandbox.Press{Action: "acknowledge", User: "U0SAM"})
	d.press(sandbox.Press{Action: "resolve", User: "U0SAM"})
	for _, e := range d.ledger.stored() {
		if e.Act.Actor != "Sam Lee" {
			t.Errorf("%s by %q", e.Name, e.Act.Actor)
		}
	}
	asked := 0
	for _, call := range d.slack.Calls() {
		if call.Method == "users.info" {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times who it is, want once", asked)
	}
}

func TestEveryButtonIsAnAct(t *testing.T) {
	t.Parallel()
	silence := func(span time.Duration) func(*desk) *router.Silence {
		return func(d *desk) *router.Silence {
			s := &router.Silence{
				Scope: router.Scope{WABA: "104996122399160", Flow: "1987937931743377", Event: router.EndpointErrorRate},
				Since: d.clock(), By: "sam.lee in Slack",
			}
			if span > 0 {
				s.Until = d.clock().Add(span)
			}
			return s
		}
	}
	byHand := cards()["resolved-by-hand"]
	byHand.Receipt = router.Receipt{}
	tests := []struct {
		card    router.Notification
		press   sandbox.Press
		act     string
		silence func(*desk) *router.Silence
	}{
		{opened(), sandbox.Press{Action: "acknowledge"}, router.Acknowledge, nil},
		{cards()["acknowledged"], sandbox.Press{Action: "unacknowledge"}, router.Unacknowledge, nil},
		{opened(), sandbox.Press{Action: "resolve"}, router.Resolve, nil},
		{cards()["somebody-is-left-to-page"], sandbox.Press{Action: "page"}, router.PageNow, nil},
		{opened(), sandbox.Press{Action: "silence", Option: 0}, router.AddSilence, silence(time.Hour)},
		{opened(), sandbox.Press{Action: "silence", Option: 1}, router.AddSilence, silence(4 * time.Hour)},
		{opened(), sandbox.Press{Action: "silence", Option: 2}, router.AddSilence, silence(0)},
		{cards()["silenced-from-its-card"], sandbox.Press{Action: "unsilence"}, router.EndSilence,
			func(*desk) *router.Silence { return &router.Silence{ID: "s1"} }},
		{byHand, sandbox.Press{Action: "reopen"}, router.Reopen, nil},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.press.Action, test.press.Option), func(t *testing.T) {
			d := newDesk(t)
			d.card(opened())
			d.card(test.card)
			test.press.User = "U0SAM"
			d.press(test.press)
			got := d.ledger.stored()
			if len(got) != 1 || got[0].Name != test.act {
				t.Fatalf("stored %+v, want one %s\n%s", got, test.act, &d.log)
			}
			want := router.Act{Incident: 42, Actor: "sam.lee", Notifier: "payments-chat", Verified: router.VerifiedSlack,
				From: "Slack, user U0SAM"}
			if test.silence != nil {
				want.Incident, want.Silence = 0, test.silence(d)
				if want.Silence.ID == "" {
					want.Silence.ID = got[0].Act.Silence.ID
					if !strings.HasPrefix(want.Silence.ID, "slack-") {
						t.Errorf("id of the silence: %q", want.Silence.ID)
					}
				}
			}
			if diff := cmp.Diff(want, *got[0].Act); diff != "" {
				t.Errorf("the act (-want +got):\n%s", diff)
			}
		})
	}
}

// TestACardOffersWhatMayHappen compares the buttons of every card with what the domain says of their acts.
func TestACardOffersWhatMayHappen(t *testing.T) {
	t.Parallel()
	for name, n := range cards() {
		if n.Incident == nil {
			continue
		}
		offered := map[string]bool{}
		buttons := overButtons(&n)
		if n.Open {
			buttons = openButtons(&n)
		}
		for _, b := range buttons {
			switch b := b.(type) {
			case *slack.ButtonBlockElement:
				offered[b.ActionID] = true
			case *slack.SelectBlockElement:
				offered[b.ActionID] = true
			}
		}
		for id, act := range acts {
			may := n.May(act) == router.MayHappen
			if id == pressSilence && n.Incident.Silence.ID != "" {
				may = false // one that covers more hides the menu; the slash command takes one of its own all the same
			}
			if !n.Open && n.Incident.State != router.IncidentResolved {
				may = false // over for this channel: what is done elsewhere is done from there
			}
			if offered[id] != may {
				t.Errorf("%s: %s is offered: %t, and the domain says %q", name, id, offered[id], n.May(act))
			}
		}
	}
}

func TestEveryReasonToRefuseAnActHasWords(t *testing.T) {
	t.Parallel()
	inc := router.Incident{ResolvedBy: "Sam", AcknowledgedBy: "Sam", ResolvedAt: began, AcknowledgedAt: began}
	said := map[string]router.Refusal{}
	for _, why := range router.Refusals() {
		words := whyNot(&inc, why)
		other, twice := said[words]
		said[words] = why
		switch {
		case why == router.UnknownAct: // nothing in Slack asks for one
		case words == line(string(why), nameText):
			t.Errorf("%q has no words", why)
		case twice && !(why == router.AllPaged && other == router.NobodyToPage):
			t.Errorf("%q and %q are both %q", why, other, words)
		}
	}
}

func TestADoubleClickOnSilenceIsOneSilence(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	d.press(sandbox.Press{Action: "silence", Option: 0, User: "U0SAM"})
	d.press(sandbox.Press{Action: "silence", Option: 0, User: "U0SAM"}) // nobody has folded the first yet
	if got := d.told(1).Text; got != "INC-42: silenced already" {
		t.Errorf("told %q", got)
	}
	if got := d.write("silence 42 4h"); got != "INC-42: silenced already" {
		t.Errorf("answered %q", got)
	}
	if got := d.ledger.stored(); len(got) != 1 {
		t.Fatalf("stored %+v, want one silence", got)
	}

	silenced := cards()["silenced-from-its-card"] // now it is folded, and the card that is pressed is old
	d.ledger.set(silenced, d.receipt)
	d.press(sandbox.Press{Action: "silence", Option: 1, User: "U0SAM"})
	if got, want := d.told(2).Text,
		"INC-42: already silenced by Sam until it has recovered; end that first to silence it otherwise"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}

	ended := opened() // and somebody ended it: another one is another one
	ended.Timeline = []router.Entry{{Incident: 42, N: 3, At: d.clock(), Kind: router.EntrySilenced,
		Text: "No longer silenced"}}
	d.ledger.set(ended, d.receipt)
	d.press(sandbox.Press{Action: "silence", Option: 0, User: "U0SAM"})
	got := d.ledger.stored()
	if len(got) != 2 || got[0].Act.Silence.ID == got[1].Act.Silence.ID {
		t.Errorf("stored %+v, want two silences", got)
	}
	d.over(2)
}

func TestASilenceOfACardWithSeveralSignalsIsOfTheWholeFlow(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(cards()["by-flow-with-words-of-the-rule"])
	d.press(sandbox.Press{Action: "silence"})
	if s := d.ledger.stored()[0].Act.Silence; s.Event != "" || s.Flow == "" {
		t.Errorf("scope %+v", s.Scope)
	}
}

func TestWhoIsNotOnTheListIsTold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		list  []string
		fault string // of usergroups.users.list
		user  string
		says  string // "" means that it was done
	}{
		{"no list", nil, "", "U0EVE", ""},
		{"a person", []string{"U0SAM"}, "", "U0SAM", ""},
		{"another person", []string{"U0SAM"}, "", "U0EVE", "not on the list"},
		{"in a group", []string{"U0BOB", "S0ONCALL"}, "", "U0SAM", ""},
		{"not in a group", []string{"S0ONCALL"}, "", "U0EVE", "not on the list"},
		{"a group that is none", []string{"S0GONE"}, "", "U0SAM", "cannot learn"},
		{"no scope", []string{"S0ONCALL"}, "missing_scope", "U0SAM", "cannot learn"},
		{"beside a group that fails", []string{"S0ONCALL", "U0SAM"}, "internal_error", "U0SAM", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			d.card(opened())
			d.allow = test.list
			if test.fault != "" {
				d.slack.Fail(sandbox.Fault{Method: "usergroups.users.list", OKFalse: test.fault})
			}
			d.press(sandbox.Press{Action: "resolve", User: test.user})
			if test.says == "" {
				if len(d.ledger.stored()) != 1 {
					t.Errorf("stored %d events, want one\n%s", len(d.ledger.stored()), &d.log)
				}
				return
			}
			got := d.told(1)
			if !strings.HasPrefix(got.Text, "INC-42: ") || !strings.Contains(got.Text, test.says) || got.User != test.user ||
				got.Channel != "#payments" {
				t.Errorf("told %+v", got)
			}
			if stored := d.ledger.stored(); len(stored) > 0 {
				t.Errorf("stored %+v", stored)
			}
			if text := d.slack.Messages("#payments"); len(text) != 1 {
				t.Errorf("the channel sees %d messages, want the card only", len(text))
			}
		})
	}
}

func TestARenamedNotifierLetsNobodyElseIn(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	d.allow, d.renamed = []string{"U0SAM"}, "payments-room"
	d.press(sandbox.Press{Action: "resolve", User: "U0EVE"})
	if got := d.told(1); !strings.Contains(got.Text, "not on the list") {
		t.Errorf("told %+v", got)
	}
	d.press(sandbox.Press{Action: "resolve", User: "U0SAM"})
	if got := d.ledger.stored(); len(got) != 1 || got[0].Act.Notifier != "payments-chat" {
		t.Errorf("stored %+v", got)
	}
}

func TestAGroupIsAskedForOnceInAWhile(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	d.allow = []string{"S0ONCALL"}
	asked := func() (n int) {
		for _, call := range d.slack.Calls() {
			if call.Method == "usergroups.users.list" {
				n++
			}
		}
		return n
	}
	for range 3 {
		d.press(sandbox.Press{Action: "acknowledge", User: "U0SAM"})
	}
	if asked() != 1 {
		t.Errorf("asked %d times, want once", asked())
	}
	d.pass(groupFresh)
	d.slack.Fail(sandbox.Fault{Method: "usergroups.users.list", OKFalse: "internal_error"})
	d.press(sandbox.Press{Action: "acknowledge", User: "U0SAM"}) // what was known holds while Slack does not answer
	if got := len(d.ledger.stored()); asked() != 2 || got != 4 {
		t.Errorf("asked %d times, stored %d", asked(), got)
	}
	d.pass(groupStale)
	d.press(sandbox.Press{Action: "acknowledge", User: "U0SAM"}) // but not for ever
	if got := len(d.ledger.stored()); got != 4 {
		t.Errorf("stored %d", got)
	}
}

func TestWhatNoLongerAppliesIsToldToThePerson(t *testing.T) {
	t.Parallel()
	byMeta := resolvedOne()
	byHand := cards()["resolved-by-hand"]
	for name, test := range map[string]struct {
		shown router.Notification // what the card still shows
		now   router.Notification
		press string
		want  string
	}{
		"resolved by Meta": {opened(), byMeta, "acknowledge",
			"INC-42: already resolved by Meta at <!date^1773464700^{time}|05:05 UTC>"},
		"resolved by a person": {opened(), byHand, "resolve",
			"INC-42: already resolved by Sam at <!date^1773464700^{time}|05:05 UTC>"},
		"acknowledged": {opened(), acked(), "acknowledge",
			"INC-42: already acknowledged by Sam at <!date^1773457920^{time}|03:12 UTC>"},
		"no longer so": {acked(), escalated(), "unacknowledge", "INC-42: not acknowledged any more"},
		"paged": {cards()["somebody-is-left-to-page"], escalated(), "page",
			"INC-42: everybody who can be paged is paged already"},
		"no longer silenced": {cards()["silenced-from-its-card"], escalated(), "unsilence",
			"INC-42: not silenced any more"},
		"silenced otherwise": {cards()["silenced-from-its-card"], cards()["silenced"], "unsilence",
			"INC-42: its silence covers more than this flow: end it where it was made"},
		"reopened":            {byHand, opened(), "reopen", "INC-42: not resolved any more"},
		"recovered after all": {byHand, byMeta, "reopen", "INC-42: cannot be reopened: Meta reports that it is over"},
		"another INC-42": {opened(), with(opened(), func(_ *router.Notification, inc *router.Incident) {
			inc.OpenedAt = began.Add(-time.Hour)
		}), "acknowledge", "INC-42: not known here any more. Nothing was done."},
		"no such card any more": {opened(), func() router.Notification { n := opened(); n.Delivery = 8; return n }(),
			"acknowledge", "INC-42: this card is not known here any more. Nothing was done."},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.card(opened())
			d.card(test.shown)
			d.ledger.set(test.now, d.receipt)
			d.press(sandbox.Press{Action: test.press, User: "U0SAM"})
			if got := d.told(1); got.Text != test.want {
				t.Errorf("told %q, want %q", got.Text, test.want)
			}
			if stored := d.ledger.stored(); len(stored) > 0 {
				t.Errorf("stored %+v", stored)
			}
		})
	}
}

func TestWhoWasSlowerThanMetaIsTold(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	d.ledger.appended = func(l *ledger, _ time.Time) { // the recovery stood in the journal before the press
		inc := l.incidents[42]
		inc.State, inc.ResolvedAt, inc.Alerts = router.IncidentResolved, began.Add(time.Hour), nil
		l.incidents[42] = inc
	}
	d.press(sandbox.Press{Action: "acknowledge"})
	if got, want := d.told(1).Text,
		"INC-42: already resolved by Meta at <!date^1773460800^{time}|04:00 UTC>"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestWhoseActTookIsToldNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	looked := make(chan struct{})
	d.ledger.appended = func(l *ledger, at time.Time) {
		inc := acked()
		d := l.incidents[42]
		d.Incident = *inc.Incident
		d.Timeline = append(d.Timeline, router.Entry{Incident: 42, N: 2, At: at, Kind: router.EntryAcknowledged,
			Text: "Acknowledged by sam.lee in Slack"})
		l.incidents[42] = d
		l.looked = sync.OnceFunc(func() { close(looked) })
	}
	d.press(sandbox.Press{Action: "acknowledge"})
	<-looked
	d.over(0)
}

// FuzzPress tries what Slack would never send: it is read without a fault, and acts on nothing without a number.
func FuzzPress(f *testing.F) {
	f.Add(
		`{"type":"block_actions","actions":[{"action_id":"silence","block_id":"flowbridge/7/1/actions","selected_option":{"value":"42.1.4h"}}]}`)
	f.Add(`{"actions":[null,{"block_id":1}],"state":[]}`)
	f.Fuzz(func(t *testing.T, payload string) {
		var call slack.InteractionCallback
		if json.Unmarshal([]byte(payload), &call) != nil {
			return
		}
		for _, a := range call.ActionCallback.BlockActions {
			if w, ok := readPress(a); ok && (w.incident <= 0 || w.act == "" || w.span < 0 || w.span > longestSilence) {
				t.Errorf("%s: %+v", payload, w)
			}
		}
	})
}

// TestAPressComesNoEarlierThanItsIncident is for a host whose clock is some seconds ahead of Slack's.
func TestAPressComesNoEarlierThanItsIncident(t *testing.T) {
	t.Parallel()
	pressed := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	now := pressed.Add(2 * time.Minute)
	for name, tt := range map[string]struct{ opened, want time.Time }{
		"a clock that is ahead":     {pressed.Add(20 * time.Second), pressed.Add(20 * time.Second)},
		"an incident of before":     {pressed.Add(-time.Second), pressed},
		"opened again since":        {pressed.Add(90 * time.Second), pressed},
		"nothing is known of since": {time.Time{}, pressed},
	} {
		if got := happened(pressed, now, tt.opened); !got.Equal(tt.want) {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}
