package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox"
	databases "flowbridge/router/store/storetest"
)

// owedDelivery is one of them as the admin API shows it.
type owedDelivery struct {
	ID       int64
	Attempts int
	Error    string `json:"last_error"`
}

// deliveries lists those in a state.
func (s *slackStory) deliveries(state string) []owedDelivery {
	s.t.Helper()
	var found struct{ Deliveries []owedDelivery }
	s.get(s.t, "/api/v1/deliveries?state="+state, &found)
	return found.Deliveries
}

// hurry makes what waits for a retry due now.
func (s *slackStory) hurry() {
	s.t.Helper()
	for _, d := range s.deliveries("waiting") {
		s.tryNow(s.t, int(d.ID))
	}
}

// untroubled asserts that nothing needs a person.
func (s *slackStory) untroubled() {
	s.t.Helper()
	if parked := s.deliveries("parked"); len(parked) > 0 {
		s.t.Errorf("parked: %+v", parked)
	}
	for _, m := range s.Slack.Messages("#ops") {
		if strings.Contains(m.Text, "could not be told") {
			s.t.Errorf("people hear of a trouble that is none: %s", m.Text)
		}
	}
}

func TestWhatAProxyAnswersParksNothing(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	for _, fault := range []sandbox.Fault{{Status: http.StatusForbidden}, {Status: http.StatusNotFound},
		{OKFalse: "team_added_to_org"}} {
		t.Run(fmt.Sprint(fault.Status, fault.OKFalse), func(t *testing.T) {
			const times = 8
			s := newSlackStory(t, "")
			fault.Times = times
			s.Slack.Fail(fault)
			s.meta("ACTIVATED", 5)
			eventually(t, "it is told after all", func() bool {
				s.hurry()
				return len(s.cards()) == 1
			})
			s.settle()
			s.untroubled()
			if got := len(s.Slack.Calls()); got <= times {
				t.Errorf("%d calls: the proxy was not met", got)
			}
		})
	}
}

func TestCardsAreToldOnceWhereSlackSaysInternalErrorAndPosts(t *testing.T) {
	t.Parallel()
	s := newSlackStory(t, "")
	s.Slack.Fail(sandbox.Fault{Method: "chat.postMessage", OKFalse: "internal_error", AfterAccept: true, Times: 2})
	s.meta("ACTIVATED", 5)
	eventually(t, "it is settled", func() bool { return len(s.deliveries("delivered")) == 1 })
	s.meta("ACTIVATED", 50)
	s.shows("Critical")
	if cards := s.cards(); len(cards) != 1 || strings.Count(s.thread(cards[0]), "\n") != 0 {
		t.Errorf("%d cards, the thread of the first says %q", len(cards), s.thread(cards[0]))
	}
	s.untroubled()
}

func TestAThreadThatIsLockedParksNothing(t *testing.T) {
	t.Parallel()
	s := newSlackStory(t, "")
	s.Slack.LockThread("#ops", "", "restricted_action_thread_locked")
	s.meta("ACTIVATED", 5)
	s.shows("open")
	s.meta("ACTIVATED", 50)
	card := s.shows("Critical")
	if !strings.Contains(string(card.Attachments), "The thread takes no replies") ||
		!strings.Contains(string(card.Attachments), ":arrow_up:") {
		t.Errorf("the card says %s", card.Attachments)
	}
	s.meta("DEACTIVATED", 5)
	s.shows("Resolved")
	s.untroubled()
}

func TestWhereCardsCannotBeEditedTheOldOneLeadsOnAndItsButtonsWork(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	s := newSlackStory(t, "")
	s.Slack.Fail(sandbox.Fault{Method: "chat.update", OKFalse: "edit_window_closed"})
	s.meta("ACTIVATED", 5)
	first := s.shows("open")
	for range 3 { // new numbers wait
		s.meta("ACTIVATED", 5)
		s.settle()
	}
	s.meta("ACTIVATED", 50)
	second := s.shows("Critical")
	s.press(first, sandbox.Press{Action: "acknowledge"})
	eventually(t, "the thread says who has it",
		func() bool { return strings.Contains(s.thread(second), "Acknowledged by u0person") })
	s.pagerShows("acknowledged")
	s.meta("DEACTIVATED", 5)
	last := s.shows("Resolved")
	for _, old := range []sandbox.Message{first, second} {
		if !strings.Contains(s.thread(old), "edit this card any more") {
			t.Errorf("a card that is left says %q", s.thread(old))
		}
	}
	s.press(second, sandbox.Press{Action: "resolve"})
	if got := s.told(1); !strings.Contains(got, "already resolved by Meta") {
		t.Errorf("told %q", got)
	}
	if cards := s.cards(); len(cards) != 3 || cards[2].TS != last.TS {
		t.Errorf("%d cards, want one for the beginning, the rise and the end", len(cards))
	}
	s.untroubled()
}
