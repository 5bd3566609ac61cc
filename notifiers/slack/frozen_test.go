package slack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// outage is an incident from its beginning to its end, as a channel is owed it: the card is left alone by new numbers,
// must tell of two rises, the second of which it had shown before, and of the end.
func outage() []router.Notification {
	step := func(n router.Notification, e router.Entry) router.Notification {
		n.Revision, n.Timeline = e.N, []router.Entry{e}
		return n
	}
	refreshed := func(n router.Notification, at int64) router.Notification {
		return step(n, entry(at, router.EntryRefreshed, "Endpoint error rate: new numbers"))
	}
	return []router.Notification{
		opened(),
		refreshed(opened(), 2),
		refreshed(opened(), 3),
		step(escalated(), entry(4, router.EntryEscalated, "It rises to critical")),
		refreshed(escalated(), 5),
		step(acked(), entry(6, router.EntryAcknowledged, "Acknowledged by Sam")),
		step(partlyRecovered(), entry(7, router.EntryEased, "It eases")),
		step(escalated(), entry(8, router.EntryEscalated, "It rises to critical again")),
		refreshed(escalated(), 9),
		step(resolvedOne(), entry(10, router.EntryResolved, "It is over")),
		step(resolvedOne(), entry(11, router.EntryNote, "Somebody notes something")),
	}
}

// owed is step i as the queue hands it out after an attempt that ended with r: with all that the thread was not told.
func owed(steps []router.Notification, i int, r router.Receipt, attempt int) router.Notification {
	n := steps[i]
	n.Timeline = nil
	for _, step := range steps[:i+1] {
		n.Timeline = append(n.Timeline, step.Timeline...)
	}
	return after(r, attempt, n)
}

// roots are the messages of a channel that are no replies.
func (w *world) roots() (list []sandbox.Message) {
	for _, m := range w.slack.Messages("#payments") {
		if m.ThreadTS == "" {
			list = append(list, m)
		}
	}
	return list
}

const leadsOn = ":arrow_right: Slack lets nobody edit this card any more"

func TestWhereEditsAreRefusedANewCardComesForARiseAndForTheEndOnly(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"edit_window_closed", "cant_update_message"} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t)
			w.slack.Fail(sandbox.Fault{Method: "chat.update", OKFalse: code})
			var r router.Receipt
			steps := outage()
			for i := range steps {
				r = w.sync(owed(steps, i, r, 1))
			}
			roots := w.roots()
			var got []string
			for i, m := range roots {
				got = append(got, m.Text)
				for _, reply := range w.slack.Thread("#payments", m.TS)[1:] {
					line := "> " + reply.Text
					if strings.HasPrefix(reply.Text, leadsOn) {
						if i+1 == len(roots) || !strings.Contains(reply.Text, strings.ReplaceAll(roots[i+1].TS, ".", "")) {
							t.Errorf("it leads nowhere: %s", reply.Text)
						}
						line = "> ..."
					}
					got = append(got, line)
				}
			}
			want := []string{
				"Warning: Checkout: Endpoint error rate over 5 %, now 6.2 % (INC-42, open)",
				"> ...",
				"Critical: Checkout: Endpoint error rate over 50 %, now 62.5 % (INC-42, open)",
				"> :arrow_up: It rises to critical",
				"> :eyes: Acknowledged by Sam",
				"> :arrow_down: It eases",
				"> :arrow_up: It rises to critical again",
				"> ...",
				"Resolved: Checkout: Endpoint error rate (INC-42)",
				"> :white_check_mark: It is over",
				"> :speech_balloon: Somebody notes something",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the channel (-want +got):\n%s", diff)
			}
			if strings.Count(w.calls(0), "update:") != 3 { // what cannot be edited is tried once
				t.Errorf("calls: %s", w.calls(0))
			}
			if ownOf(r).TS != roots[2].TS || r.Open || ownOf(r).Old != "" {
				t.Errorf("receipt %+v", r)
			}
		})
	}
}

func TestANewCardInPlaceOfAFrozenOneIsEditedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(there *sandbox.SlackConfig, _ *Config) { there.EditWindow = 5 * time.Minute })
	steps := outage()
	r := w.sync(steps[0])
	w.pass(5 * time.Minute)
	r = w.sync(after(r, 1, steps[3]))
	r = w.sync(after(r, 1, steps[5]))
	roots := w.roots()
	if len(roots) != 2 || !strings.Contains(roots[1].Text, "acknowledged by Sam") || ownOf(r).Frozen {
		t.Fatalf("%q, receipt %+v", w.shown(), r)
	}
	r = w.sync(after(r, 1, steps[9])) // in time: the same card turns green
	w.pass(5 * time.Minute)
	back := opened() // and is frozen when it comes back
	back.Timeline = []router.Entry{entry(12, router.EntryReopened, "It is back")}
	w.sync(after(r, 1, back))
	if roots = w.roots(); len(roots) != 3 || roots[1].Color != resolved || !strings.Contains(roots[2].Text, "reopened") {
		t.Errorf("%q", w.shown())
	}
}

// TestACardInPlaceOfAFrozenOneIsPostedOnceWhateverEndsTheAttempt loses the answer of each post in turn, and whole
// attempts.
func TestACardInPlaceOfAFrozenOneIsPostedOnceWhateverEndsTheAttempt(t *testing.T) {
	t.Parallel()
	for lost := range 12 {
		for _, accepted := range []bool{true, false} {
			for _, crash := range []bool{true, false} {
				t.Run(fmt.Sprintf("post %d, accepted %v, crash %v", lost+1, accepted, crash), func(t *testing.T) {
					w := newWorld(t)
					w.slack.Fail(sandbox.Fault{Method: "chat.update", OKFalse: "edit_window_closed"})
					w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", OKFalse: "internal_error", AfterAccept: accepted,
						Skip: lost, Times: 1})
					var r router.Receipt
					steps := outage()
					for i := range steps {
						got, err := w.notifier.Sync(t.Context(), owed(steps, i, r, 1))
						if err != nil {
							if !crash { // else nobody wrote down what the attempt had learnt
								r = got
							}
							n := owed(steps, i, r, 2)
							n.MayExist = true
							got = w.sync(n)
						}
						r = got
					}
					seen := map[string]int{}
					for _, text := range w.shown() {
						if strings.HasPrefix(text, "> "+leadsOn) {
							text = "leads on"
						}
						seen[text]++
					}
					leads := seen["leads on"]
					delete(seen, "leads on")
					for text, times := range seen {
						if times != 1 {
							t.Errorf("%d times: %s", times, text)
						}
					}
					if len(w.roots()) != 3 || leads != 2 {
						t.Errorf("%d cards and %d lines that lead on: %q", len(w.roots()), leads, w.shown())
					}
				})
			}
		}
	}
}

// TestACardThatACrashHidIsFollowedWhereEditsAreAllowedAgain is for an attempt that posted another card and died: the
// next finds that the old one can be edited, and must not leave the newer one to say for ever what was true then.
func TestACardThatACrashHidIsFollowedWhereEditsAreAllowedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	steps := outage()
	r := w.sync(owed(steps, 0, router.Receipt{}, 1))
	w.slack.Fail(sandbox.Fault{Method: "chat.update", OKFalse: "edit_window_closed", Times: 1})
	w.sync(owed(steps, 3, r, 1)) // its receipt is lost
	n := owed(steps, 9, r, 2)
	n.MayExist = true
	r = w.sync(n)
	roots := w.roots()
	if len(roots) != 2 || ownOf(r).TS != roots[1].TS {
		t.Fatalf("%d cards, the receipt has %q", len(roots), ownOf(r).TS)
	}
	for _, m := range roots {
		if m.Color != resolved {
			t.Errorf("a card says %q in %q", m.Text, m.Color)
		}
	}
	if thread := w.slack.Thread("#payments", roots[0].TS); !strings.HasPrefix(thread[len(thread)-1].Text, leadsOn) {
		t.Errorf("the old thread ends with %q", thread[len(thread)-1].Text)
	}
}

func TestTheButtonsOfAFrozenCardWork(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	old := d.receipt
	d.slack.Fail(sandbox.Fault{Method: "chat.update", OKFalse: "edit_window_closed", Times: 1})
	d.card(escalated())
	if ownOf(d.receipt).TS == ownOf(old).TS {
		t.Fatal("no new card")
	}
	press := func() {
		t.Helper()
		sent, err := d.slack.Press(t.Context(), "#payments", ownOf(old).TS,
			sandbox.Press{Action: "acknowledge", User: "U0SAM"})
		if err != nil || sent.Status != http.StatusOK {
			t.Fatalf("%+v %v", sent, err)
		}
	}
	press()
	if got := d.ledger.stored(); len(got) != 1 || got[0].Name != router.Acknowledge || got[0].Act.Incident != 42 {
		t.Errorf("stored %+v", got)
	}
	d.ledger.set(acked(), d.receipt)
	press()
	if got := d.told(1).Text; !strings.Contains(got, "already acknowledged by Sam") {
		t.Errorf("told %q", got)
	}
}

// onCard is all text of a card.
func (w *world) onCard(ts string) string {
	w.t.Helper()
	for _, m := range w.slack.Thread("#payments", ts) {
		if m.TS == ts {
			var attachments []struct{ Blocks []json.RawMessage }
			if err := json.Unmarshal(m.Attachments, &attachments); err != nil || len(attachments) != 1 {
				w.t.Fatalf("attachments of the card: %v", err)
			}
			blocks, _ := json.Marshal(attachments[0].Blocks) // it was JSON before
			return string(m.Blocks) + string(blocks)
		}
	}
	w.t.Fatalf("there is no card %s", ts)
	return ""
}

func TestWhatAThreadDoesNotTakeTheCardSays(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		"cannot_reply_to_message", "restricted_action_thread_locked", "restricted_action_non_threadable_channel",
		"restricted_action_read_only_channel",
	} {
		for _, locked := range []int{0, 3} { // from its beginning on, or later
			t.Run(fmt.Sprint(code, locked), func(t *testing.T) {
				w := newWorld(t)
				var r router.Receipt
				var lines []string
				steps := outage()
				for i, n := range steps {
					if i == locked {
						w.slack.LockThread("#payments", "", code)
					}
					r = w.sync(owed(steps, i, r, 1)) // it needs no person
					for _, e := range n.Timeline {
						if e.Kind != router.EntryOpened && e.Kind != router.EntryRefreshed {
							lines = append(lines, e.Text)
						}
					}
				}
				if len(w.slack.Messages("#payments")) != 1 || !ownOf(r).Mute {
					t.Errorf("%q, receipt %+v", w.shown(), r)
				}
				card := w.onCard(ownOf(r).TS)
				for _, line := range append(lines, "The thread takes no replies") {
					if !strings.Contains(card, line) {
						t.Fatalf("the card lacks %q:\n%s", line, card)
					}
				}
			})
		}
	}
}

// TestALockedThreadKeepsNobodyFromBeingCalled holds that people whom the rules name hear of a rise though the thread of
// the card takes no replies, and once.
func TestALockedThreadKeepsNobodyFromBeingCalled(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"answered": false, "an answer that is lost": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var r router.Receipt
			steps := outage()
			for i := range steps {
				for k := range steps[i].Alerts {
					steps[i].Alerts = slices.Clone(steps[i].Alerts)
					steps[i].Alerts[k].Routes = calling("here")
				}
				if i == 1 {
					w.slack.LockThread("#payments", "", "restricted_action_thread_locked")
				}
				n := owed(steps, i, r, 1)
				if i == 7 && lost {
					w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", EOF: true, AfterAccept: true, Times: 1})
					r, _ = w.fail(n)
					n = owed(steps, i, r, 2)
				}
				before := len(w.slack.Messages("#payments"))
				r = w.sync(n)
				called := len(w.slack.Messages("#payments")) - before
				if rises := i == 0 || i == 3 || i == 7; !lost && rises != (called == 1) {
					t.Errorf("step %d: %d messages more", i, called)
				}
			}
			shown := w.shown()
			if len(shown) != 3 || !strings.Contains(shown[1], "It rises to critical <!here>") ||
				!strings.Contains(shown[2], "It rises to critical again <!here>") || ownOf(r).TS != w.roots()[0].TS {
				t.Errorf("%q", shown)
			}
		})
	}
}

func TestACardInPlaceOfOneWhoseThreadWasLockedHasItsLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	steps := outage()
	r := w.sync(steps[0])
	w.slack.LockThread("#payments", ownOf(r).TS, "restricted_action_thread_locked")
	r = w.sync(after(r, 1, steps[3]))
	w.slack.DeleteMessage("#payments", ownOf(r).TS)
	r = w.sync(owed(steps, 5, r, 1))
	if got := w.slack.Thread("#payments", ownOf(r).TS); len(got) != 3 ||
		strings.Contains(w.onCard(ownOf(r).TS), "takes no replies") || ownOf(r).Mute {
		t.Errorf("%q, receipt %+v", w.shown(), r)
	}
}

func TestNeitherAnEditNorAReplyNeedsAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.slack.Fail(sandbox.Fault{Method: "chat.update", OKFalse: "edit_window_closed"})
	w.slack.LockThread("#payments", "", "cannot_reply_to_message")
	var r router.Receipt
	steps := outage()
	for i := range steps {
		r = w.sync(owed(steps, i, r, 1))
	}
	if got := w.roots(); len(got) != 3 || len(w.shown()) != 3 || got[2].Color != resolved {
		t.Errorf("%q", w.shown())
	}
}
