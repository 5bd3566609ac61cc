package console

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"flowbridge/router"
)

// TestTheAPIRefusesWhatTheDomainRefuses does every act to incidents in every state over HTTP.
func TestTheAPIRefusesWhatTheDomainRefuses(t *testing.T) {
	states := []router.IncidentState{router.IncidentOpen, router.IncidentAcknowledged, router.IncidentResolved}
	for _, state := range states {
		for _, active := range []bool{true, false} {
			for _, pages := range []string{"nobody", "all are told", "one is left"} {
				inc := router.IncidentDetail{Incident: router.Incident{Number: 1, State: state, ResolvedBy: "Ada"},
					Alerts: []router.Alert{{Event: router.EndpointErrorRate, Active: active, Incident: 1}}}
				if pages != "nobody" {
					inc.Pageable = []string{"oncall"}
					inc.Watch = []router.Watch{{Notifier: "oncall", Open: pages == "all are told"}}
				}
				for word, act := range acts {
					t.Run(fmt.Sprintf("%s, active %t, pages %s: %s", state, active, pages, word), func(t *testing.T) {
						refused(t, inc, word, inc.May(act))
					})
				}
			}
		}
	}
}

// refused asks for an act, and wants it taken where the domain has nothing against it.
func refused(t *testing.T, inc router.IncidentDetail, word string, why router.Refusal) {
	s := &memStore{incidents: []router.IncidentDetail{inc}}
	c, _ := newConsole(t, Config{}, s)
	resp := ask(c, "POST", "/api/v1/incidents/1/"+word, "")
	var answer struct {
		Queued bool
		Error  string
	}
	if err := json.Unmarshal([]byte(text(t, resp)), &answer); err != nil {
		t.Fatal(err)
	}
	want := 409
	switch why {
	case router.MayHappen:
		want = 202
	case router.AlreadyAcknowledged, router.NotAcknowledged, router.NotResolved: // it is so already
		want = 200
	}
	taken, told := why == router.MayHappen, answer.Error != ""
	if resp.StatusCode != want || answer.Queued != taken || len(s.appended) == 1 != taken || told != (want == 409) {
		t.Errorf("%q: %s %+v, and %d acts in the journal; want %d", why, resp.Status, answer, len(s.appended), want)
	}
	if answer.Error != "" && strings.HasSuffix(answer.Error, string(why)) {
		t.Errorf("%q has no words: %s", why, answer.Error)
	}
}
