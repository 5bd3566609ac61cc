package slack

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

func TestAnIncidentIsOneMessageWithItsTimelineBelow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var r router.Receipt
	steps := []struct {
		n     router.Notification
		calls string
	}{
		{opened(), "postMessage getPermalink"},
		{escalated(), "update postMessage"},
		{with(escalated(), func(n *router.Notification, inc *router.Incident) { // new numbers: no line
			n.Revision, n.Timeline = 3,
				[]router.Entry{entry(3, router.EntryRefreshed, "Endpoint error rate still over 50 %: now 70 %")}
		}), "update"},
		{with(acked(), func(n *router.Notification, inc *router.Incident) {
			n.Timeline = []router.Entry{entry(4, router.EntryAcknowledged, "Acknowledged by Sam"),
				entry(5, router.EntryLate, "Arrived late and changed nothing")}
		}), "update postMessage"}, // what changed nothing gets no line
		{with(resolvedOne(), func(n *router.Notification, inc *router.Incident) {
			n.Timeline = []router.Entry{entry(6, router.EntryResolved, "Back under 5 % after 2 h 5 min")}
		}), "update postMessage"},
	}
	for i, step := range steps {
		from := len(w.slack.Calls())
		r = w.sync(after(r, 1, step.n))
		if got := w.calls(from); got != step.calls {
			t.Errorf("step %d called %q, want %q", i+1, got, step.calls)
		}
	}
	want := []string{
		"Resolved: Checkout: Endpoint error rate (INC-42)",
		">> :arrow_up: Endpoint error rate over 50 %: now 62.5 %; severity rises from warning to critical",
		"> :eyes: Acknowledged by Sam",
		"> :white_check_mark: Back under 5 % after 2 h 5 min",
	}
	if diff := cmp.Diff(want, w.shown()); diff != "" {
		t.Errorf("the channel (-want +got):\n%s", diff)
	}
	root := w.slack.Messages("#payments")[0]
	wantReceipt := router.Receipt{
		Own: put(own{Channel: w.slack.Channels()[0].ID, TS: root.TS}), Told: 6, Severity: router.Critical,
		Link: "https://sandbox.slack.com/archives/C0SANDBOX01/p" + strings.ReplaceAll(root.TS, ".", ""),
	}
	if diff := cmp.Diff(wantReceipt, r); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	if root.Color != resolved || root.Edited != 4 {
		t.Errorf("the card is %s, edited %d times", root.Color, root.Edited)
	}
}

// TestPeopleAreCalledWhenItOpensAndGetsWorse: neither new numbers nor an acknowledgement call anybody, nor does what
// the channel sees for the first time call twice.
func TestPeopleAreCalledWhenItOpensAndGetsWorse(t *testing.T) {
	t.Parallel()
	mention := func(n router.Notification) router.Notification {
		n.Alerts = slices.Clone(n.Alerts)
		for i := range n.Alerts {
			n.Alerts[i].Routes = calling("here", "S0123ABCD")
		}
		return n
	}
	silent := with(mention(escalated()),
		func(n *router.Notification, inc *router.Incident) { inc.Silence = router.Silence{ID: "s"} })
	late := mention(escalated())
	late.Receipt, late.MayExist = router.Receipt{}, false
	numbers := with(mention(opened()), func(n *router.Notification, inc *router.Incident) { n.Timeline = nil })
	reminder := with(mention(opened()), func(n *router.Notification, inc *router.Incident) {
		n.Alerts[0].Routes[1].Remind = 30 * time.Minute
		n.Timeline = []router.Entry{entry(2, router.EntryReminded, "Nobody has it after 30 min")}
	})
	rose := ">> :arrow_up: Endpoint error rate over 50 %: now 62.5 %; severity rises from warning to critical"
	const who = " <!here> <!subteam^S0123ABCD>"
	for _, c := range []struct {
		name  string
		steps []router.Notification
		want  []string
	}{
		{"it opens", []router.Notification{mention(opened())},
			[]string{"Warning: Checkout: Endpoint error rate over 5 %, now 6.2 % (INC-42, open)" + who}},
		{"new numbers", []router.Notification{mention(opened()), numbers},
			[]string{"Warning: Checkout: Endpoint error rate over 5 %, now 6.2 % (INC-42, open)"}},
		{"it gets worse", []router.Notification{mention(opened()), mention(escalated())},
			[]string{"Critical: Checkout: Endpoint error rate over 50 %, now 62.5 % (INC-42, open)", rose + who}},
		{"both at once", []router.Notification{late},
			[]string{"Critical: Checkout: Endpoint error rate over 50 %, now 62.5 % (INC-42, open)" + who, rose[1:]}},
		{"under a silence", []router.Notification{mention(opened()), silent},
			[]string{"Critical: Checkout: Endpoint error rate over 50 %, now 62.5 % (INC-42, silenced)", rose}},
		{"a reminder", []router.Notification{mention(opened()), reminder},
			[]string{"Warning: Checkout: Endpoint error rate over 5 %, now 6.2 % (INC-42, open)",
				">> :alarm_clock: Nobody has it after 30 min" + who}},
		{"acknowledged", []router.Notification{mention(opened()), mention(acked())},
			[]string{"Critical: Checkout: Endpoint error rate over 50 %, now 62.5 % (INC-42, acknowledged by Sam)",
				"> :eyes: Acknowledged by Sam"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			var r router.Receipt
			for _, n := range c.steps {
				r = w.sync(after(r, 1, n))
			}
			if diff := cmp.Diff(c.want, w.shown()); diff != "" {
				t.Errorf("the channel (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatWasOverBeforeItCouldBeToldIsOneLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := cards()["missed"]
	n.Receipt, n.MayExist = router.Receipt{}, false
	r := w.sync(n)
	want := []string{
		"Checkout: Endpoint error rate opened and closed again after 3 min, before this channel could be told (INC-42)"}
	if diff := cmp.Diff(want, w.shown()); diff != "" {
		t.Errorf("the channel (-want +got):\n%s", diff)
	}
	if r.Open || ownOf(r).TS == "" || r.Told != 4 {
		t.Errorf("receipt %+v", r)
	}
}

func TestAReopenedIncidentIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.sync(opened())
	r = w.sync(after(r, 1, with(resolvedFrom(opened()), func(n *router.Notification, inc *router.Incident) {
		n.Timeline = []router.Entry{entry(2, router.EntryEased, "It is over for you")}
	})))
	if r.Open {
		t.Fatalf("receipt %+v", r)
	}
	r = w.sync(after(r, 1, with(opened(), func(n *router.Notification, inc *router.Incident) {
		n.Timeline = []router.Entry{entry(3, router.EntryActivated, "It is back")}
	})))
	want := []string{"Warning: Checkout: Endpoint error rate over 5 %, now 6.2 % (INC-42, reopened)",
		"> :arrow_down: It is over for you", ">> :red_circle: It is back"}
	if diff := cmp.Diff(want, w.shown()); diff != "" || !r.Open {
		t.Errorf("the channel (-want +got):\n%s", diff)
	}
}

func TestABurstIsOneReply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.sync(opened())
	n := after(r, 1, escalated())
	n.Timeline = nil
	for i := range router.MaxTimeline {
		kind := router.EntryEased
		if i%10 == 0 {
			kind = router.EntryEscalated
		}
		n.Timeline = append(n.Timeline, entry(int64(i)+12, kind, fmt.Sprint(i, strings.Repeat(" long words", 30))))
	}
	r = w.sync(n)
	thread := w.slack.Thread("#payments", ownOf(r).TS)
	if len(thread) != 2 || !thread[1].Broadcast || r.Told != 61 {
		t.Fatalf("%d messages, broadcast %v, told %d; want one loud reply", len(thread), thread[len(thread)-1].Broadcast,
			r.Told)
	}
	text := thread[1].Text
	if len([]rune(text)) > threadText || !strings.HasPrefix(text, "… 50 earlier entries are left out\n<!date^") ||
		!strings.Contains(text, ":arrow_down: 49 long") {
		t.Errorf("%d characters: %s", len([]rune(text)), text)
	}
}

func TestANoticeIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := cards()["notice-recovery"]
	r := w.sync(n)
	from := len(w.slack.Calls())
	if again := w.sync(after(r, 1, n)); again != r || w.calls(from) != "" {
		t.Errorf("told again it called %q and gave %+v, want %+v", w.calls(from), again, r)
	}
	if got := len(w.shown()); got != 1 {
		t.Errorf("%d messages", got)
	}
}

func TestADeletedMessageIsPostedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.sync(opened())
	w.slack.DeleteMessage("#payments", ownOf(first).TS)
	r := w.sync(after(first, 1, escalated()))
	if ownOf(r).TS == ownOf(first).TS || r.Link == first.Link || r.Link == "" || !r.Open {
		t.Errorf("receipt %+v after %+v", r, first)
	}
	if got := len(w.slack.Thread("#payments", ownOf(r).TS)); got != 2 {
		t.Errorf("the new thread has %d messages, want card and line", got)
	}
	if r = w.sync(after(r, 1, partlyRecovered())); len(w.slack.Thread("#payments", ownOf(r).TS)) != 3 {
		t.Error("the next state went elsewhere")
	}
}

func TestAReplyThatMissesItsThreadIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.sync(opened())
	from := len(w.slack.Calls())
	w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", Hang: true, Times: 1})
	done := make(chan router.Receipt, 1)
	go func() {
		r, err := w.notifier.Sync(t.Context(), after(first, 1, escalated()))
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	if err := w.slack.Wait(t.Context(),
		func() bool { return strings.HasSuffix(w.calls(from), "postMessage") }); err != nil {
		t.Fatal(err)
	}
	w.slack.DeleteMessage("#payments", ownOf(first).TS) // between the update and the reply
	w.slack.ClearFaults()
	r := <-done
	if got, want := w.calls(from), "update postMessage delete postMessage postMessage"; got != want {
		t.Errorf("called %q, want %q", got, want)
	}
	if all, thread := w.slack.Messages("#payments"), w.slack.Thread("#payments", ownOf(r).TS); len(all) != 2 ||
		len(thread) != 2 || r.Told != 2 {
		t.Errorf("%d messages, %d of them in the new thread, told %d", len(all), len(thread), r.Told)
	}
}

func TestALostAnswerMakesNoSecondMessage(t *testing.T) {
	t.Parallel()
	faults := map[string]sandbox.Fault{
		"cut":          {EOF: true},
		"500":          {Status: 500},
		"503":          {Status: 503},
		"fatal_error":  {OKFalse: "fatal_error"},
		"internal":     {OKFalse: "internal_error"},
		"a proxy":      {Status: 403},
		"not JSON":     {Body: "<html>"},
		"empty object": {Body: "{}"},
	}
	for name, fault := range faults {
		for _, accepted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, accepted %v", name, accepted), func(t *testing.T) {
				w := newWorld(t)
				fault.Method, fault.Times, fault.AfterAccept = "chat.postMessage", 1, accepted
				w.slack.Fail(fault)
				r, _ := w.fail(opened())
				if want := (router.Receipt{Own: put(own{Channel: "#payments"}), Unsure: true}); r != want {
					t.Errorf("receipt %+v, want %+v", r, want)
				}
				r = w.sync(after(r, 2, opened()))
				if r.Unsure || ownOf(r).TS == "" || !r.Open {
					t.Errorf("receipt %+v", r)
				}

				w.slack.Fail(fault) // the same for a line of the thread
				from := len(w.slack.Calls())
				r, _ = w.fail(after(r, 1, escalated()))
				if !r.Unsure || r.Told != 1 {
					t.Errorf("receipt %+v", r)
				}
				r = w.sync(after(r, 2, escalated()))
				if r.Unsure || r.Told != 2 {
					t.Errorf("receipt %+v", r)
				}
				if !strings.Contains(w.calls(from), "replies") {
					t.Errorf("nobody looked: %s", w.calls(from))
				}
				from = len(w.slack.Calls())
				w.sync(after(r, 1, partlyRecovered()))
				if got := w.calls(from); got != "update postMessage" {
					t.Errorf("once all is clear nobody looks: %s", got)
				}
				want := []string{
					"Warning: Checkout: Endpoint error rate over 5 %, now 8 % (INC-42, open)",
					">> :arrow_up: Endpoint error rate over 50 %: now 62.5 %; severity rises from warning to critical",
					"> :arrow_down: Endpoint error rate back under 50 %: now 8 %; still active: Endpoint error rate over 5 %",
				}
				if diff := cmp.Diff(want, w.shown()); diff != "" {
					t.Errorf("the channel (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestACrashMakesNoSecondMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sync(opened())         // and nobody wrote the receipt down
	w.notifier = w.sibling() // a new process
	n := afterCrash(escalated())
	n.Timeline = append(opened().Timeline, n.Timeline...)
	r := w.sync(n)
	if got := w.shown(); len(got) != 2 || r.Told != 2 {
		t.Fatalf("%q, told %d: want a card and a line", got, r.Told)
	}
	r = w.sync(afterCrash(n)) // and again
	if got := w.shown(); len(got) != 2 || r.Told != 2 {
		t.Errorf("%q, told %d: want a card and a line", got, r.Told)
	}
}

func TestANoticeIsFoundAfterACrash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := cards()["flow-response"]
	first := w.sync(n)
	other := n
	other.Delivery++
	w.sync(other)
	w.pass(20 * time.Minute)
	if r := w.sync(afterCrash(n)); r != first {
		t.Errorf("receipt %+v, want %+v", r, first)
	}
	if got := len(w.shown()); got != 2 {
		t.Errorf("%d messages, want 2", got)
	}
}

func TestANoticeThatMayHaveBeenPostedIsLookedFor(t *testing.T) {
	t.Parallel()
	for _, fault := range []sandbox.Fault{{OKFalse: "internal_error"}, {OKFalse: "fatal_error"}, {Status: 403},
		{EOF: true}} {
		for _, accepted := range []bool{true, false} {
			w := newWorld(t)
			n := cards()["notice-recovery"]
			n.Receipt, n.MayExist = router.Receipt{}, false
			fault.Method, fault.Times, fault.AfterAccept = "chat.postMessage", 3, accepted
			w.slack.Fail(fault)
			r, _ := w.fail(n)
			for attempt := 2; attempt <= 4; attempt++ { // what was not accepted is posted again, with the same end
				r, _ = w.notifier.Sync(t.Context(), after(r, attempt, n))
			}
			if got := w.shown(); len(got) != 1 || ownOf(r).TS != w.slack.Messages("#payments")[0].TS || r.Unsure {
				t.Errorf("%+v: %d messages, receipt %+v", fault, len(got), r)
			}
		}
	}
}

func TestTwiceIsBetterThanNever(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*world){
		"no scope to read": func(w *world) {
			w.slack.Fail(sandbox.Fault{Method: "conversations.history", OKFalse: "missing_scope"})
		},
		"no scope to list": func(w *world) {
			w.slack.Fail(sandbox.Fault{Method: "conversations.list",
				OKFalse: "missing_scope"})
		},
		"not a member": func(w *world) {
			w.slack.Fail(sandbox.Fault{Method: "conversations.history", OKFalse: "not_in_channel"})
		},
	}
	for name, hide := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", EOF: true, AfterAccept: true, Times: 1})
			r, _ := w.fail(opened())
			hide(w)
			r = w.sync(after(r, 2, opened()))
			if got := w.slack.Messages("#payments"); len(got) != 2 || got[1].TS != ownOf(r).TS {
				t.Errorf("%d messages, receipt %+v", len(got), r)
			}
		})
	}
}

func TestALookThatFailsIsRepeatedAFewTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.slack.Fail(sandbox.Fault{Method: "conversations.history", OKFalse: "internal_error"})
	// The process died right after it had posted, if it had, and again before it could look, often.
	n := afterCrash(opened())
	n.Attempt = 20
	for range mostLooks {
		r, _ := w.fail(n)
		if len(w.shown()) > 0 {
			t.Fatalf("posted without a look, receipt %+v", r)
		}
		n = after(r, n.Attempt+1, opened())
	}
	w.sync(n)
}

func TestABurstThatWasCutShortGoesOnWhereItStood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.sync(opened())
	n := after(r, 1, escalated())
	for i := int64(3); i <= 4; i++ {
		n.Timeline = append(n.Timeline, entry(i, router.EntryEased, fmt.Sprint("line ", i)))
	}
	w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", Skip: 1, Times: 1, EOF: true, AfterAccept: true})
	r, _ = w.fail(n) // told 2 and 3, and knows of 2
	for i := int64(5); i <= 9; i++ {
		n.Timeline = append(n.Timeline, entry(i, router.EntryEased, fmt.Sprint("line ", i)))
	}
	r = w.sync(after(r, 2, n))
	shown := w.shown()
	if len(shown) != 4 || !strings.HasSuffix(shown[2], "line 3") || r.Told != 9 {
		t.Fatalf("told %d: %q", r.Told, shown)
	}
	for i := 4; i <= 9; i++ {
		if !strings.Contains(shown[3], fmt.Sprint("line ", i)) {
			t.Errorf("line %d is missing in %q", i, shown[3])
		}
	}
	if strings.Contains(shown[3], "line 3") || strings.Contains(shown[3], "left out") {
		t.Errorf("told twice, or called missing: %q", shown[3])
	}
}
