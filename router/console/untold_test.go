package console

import (
	"strings"
	"testing"
	"time"

	"flowbridge/router"
)

func TestAPageThatWasRefusedIsNotSaidToBeMade(t *testing.T) {
	const retry, why = `href="/deliveries/8/retry?back=incident">retry…</a></li></ul>`, "PagerDuty refused: bad key"
	for _, tt := range []struct {
		name     string
		delivery router.Delivery
		failed   bool
	}{
		{"it is parked", router.Delivery{State: router.DeliveryParked, LastError: why}, true},
		{"it fails, and waits", router.Delivery{State: router.DeliveryWaiting, Attempts: 3, LastError: why}, true},
		{"nobody knows whether it was made", router.Delivery{State: router.DeliveryWaiting, Attempts: 3, LastError: why,
			Receipt: router.Receipt{Open: true, Unsure: true}}, true},
		{"its service fails, and it waits for its first attempt", router.Delivery{State: router.DeliveryWaiting,
			Behind: why}, true},
		{"it waits for its first attempt", router.Delivery{State: router.DeliveryWaiting}, false},
		{"it was told, and its update fails", router.Delivery{State: router.DeliveryParked, Attempts: 1, LastError: why,
			Receipt: router.Receipt{Told: 1, Open: true}}, false},
		{"it was told", router.Delivery{State: router.DeliveryDelivered, Receipt: router.Receipt{Told: 1, Open: true}},
			false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := filledStore()
			inc := &s.incidents[0]
			inc.Links, inc.Pageable, inc.Watch = nil, inc.Pageable[:1], inc.Watch[:2]
			tt.delivery.ID, tt.delivery.Notifier, tt.delivery.Kind = 8, "payments-oncall", router.KindPagerDuty
			inc.Deliveries[1] = tt.delivery
			c, _ := newConsole(t, signInConfig(), s)
			b := newBrowser(t, c)
			b.signIn("Ada", adminToken)
			_, page := b.do("GET", "/incidents/42", nil)
			_, form := b.do("GET", "/incidents/42/page", nil)
			_, api := b.do("GET", "/api/v1/incidents/42", nil)
			_, list, _ := strings.Cut(page, `<ul class="pages">`)
			for what, wrong := range map[string]bool{
				"the page says that it was paged": strings.Contains(list, "Paged payments-oncall") == tt.failed,
				"the page says why it was not": strings.Contains(list, "payments-oncall could not be paged: "+why) !=
					tt.failed,
				"the page leads to the retry":   strings.Contains(strings.ReplaceAll(list, "\n", ""), retry) != tt.failed,
				"the button says paged already": strings.Contains(page, "Paged already") == tt.failed,
				"the form says paged already":   strings.Contains(form, "Paged already") == tt.failed,
				"the form says why not":         strings.Contains(form, "Could not be paged: payments-oncall") != tt.failed,
				"the API says paged":            strings.Contains(api, `"state":"paged"`) == tt.failed,
				"the API says failed":           strings.Contains(api, `"state":"failed"`) != tt.failed,
			} {
				if wrong {
					t.Errorf("%s: the other way round\n%s\n%s\n%s", what, list, form, api)
				}
			}
		})
	}
}

func TestWhomPagerDutyCallsDoesNotHaveIt(t *testing.T) {
	for _, tt := range []struct {
		name               string
		state              router.IncidentState
		owner, by          string
		page, list, absent string
	}{
		{"PagerDuty calls somebody", router.IncidentOpen, "Grace", "", "Who has it nobody yet; PagerDuty calls Grace",
			"PagerDuty calls Grace", ""},
		{"somebody has it", router.IncidentAcknowledged, "Grace", "Ada", "Who has it Grace acknowledged", "Grace", "calls"},
		{"somebody has it whom nobody called", router.IncidentAcknowledged, "", "Ada", "Who has it Ada acknowledged", "Ada",
			"calls"},
		{"nobody", router.IncidentOpen, "", "", "Who has it nobody", "", "calls"},
		{"it is over, and nobody had it", router.IncidentResolved, "Grace", "", "Who has it nobody; PagerDuty called Grace",
			"PagerDuty called Grace", ""},
	} {
		s := filledStore()
		s.incidents = s.incidents[:1]
		inc := &s.incidents[0]
		inc.State, inc.Owner, inc.AcknowledgedBy, inc.ResolvedAt = tt.state, tt.owner, tt.by, at(20)
		if tt.by != "" {
			inc.AcknowledgedAt = at(3)
		}
		c, _ := newConsole(t, Config{}, s)
		b := newBrowser(t, c)
		_, body := b.do("GET", "/incidents/42", nil)
		text := strings.ReplaceAll(pageText(body), "Who has it\n", "Who has it ")
		if !strings.Contains(text, tt.page) || tt.absent != "" && strings.Contains(text, tt.absent) {
			t.Errorf("%s: want %q in\n%s", tt.name, tt.page, text)
		}
		_, body = b.do("GET", "/?state=all", nil)
		_, who, _ := strings.Cut(body, `class="by">`)
		who, _, _ = strings.Cut(who, "</td>")
		if !strings.Contains(who, tt.list) || tt.absent != "" && strings.Contains(who, tt.absent) {
			t.Errorf("%s: the list says %s", tt.name, who)
		}
	}
}

// TestAFirstAttemptIsNoTrouble holds that nobody is said not to be told while they are just being told.
func TestAFirstAttemptIsNoTrouble(t *testing.T) {
	for _, failing := range []bool{false, true} {
		s := filledStore()
		d := &s.incidents[0].Deliveries[1]
		d.Attempts, d.Failing, d.LastError = 1, time.Time{}, ""
		if failing {
			d.Failing, d.LastError = at(7), "PagerDuty answered 503"
		}
		s.deliveries = s.incidents[0].Deliveries
		c, _ := newConsole(t, Config{}, s)
		b := newBrowser(t, c)
		for path, words := range map[string]string{"/": "payments-oncall fails", "/incidents/42": "Not everybody was told",
			"/deliveries": "1 failed"} {
			_, body := b.do("GET", path, nil)
			text := pageText(body)
			if strings.Contains(text, words) != failing {
				t.Errorf("failing: %v: %s says %q the other way round:\n%s", failing, path, words, text)
			}
		}
	}
}
