package console

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

func TestIncidentsAreNarrowed(t *testing.T) {
	for query, want := range map[string]router.IncidentFilter{
		"":                            {},
		"state=active&order=worst":    {Active: true, Worst: true},
		"state=resolved&order=newest": {State: router.IncidentResolved},
		"severity=error":              {Severities: []router.Severity{router.Error}},
		"severity=%3E%3Derror":        {Severities: []router.Severity{router.Error, router.Critical}},
		"severity=info,warning&severity=>=critical": {Severities: []router.Severity{router.Info, router.Warning,
			router.Critical}},
		"event=endpoint_latency":                         {Signals: []string{router.EndpointLatency}},
		"signal=ACCOUNT_BAN":                             {Signals: []string{router.AccountBan}},
		"subject=phone":                                  {Subject: router.SubjectPhone},
		"subject=template:9:en_US":                       {Subject: router.SubjectTemplate, SubjectID: "9:en_US"},
		"subject_id=7":                                   {SubjectID: "7"},
		"flow=Checkout&waba=w1":                          {Flow: "1987937931743377", WABA: "w1"},
		"team=payments&label.region=eu":                  {Labels: map[string]string{"team": "payments", "region": "eu"}},
		"team=payments&label.team=payments":              {Labels: map[string]string{"team": "payments"}},
		"notifier=chat&rule=a+b":                         {Notifier: "chat", Rule: "a b"},
		"from=2026-05-03&to=2026-05-04T08:00:00%2B01:00": {From: noon.Add(-36 * time.Hour), To: noon.Add(-5 * time.Hour)},
		"from=2h":                      {From: noon.Add(-2 * time.Hour)},
		"silenced=true&trouble=false":  {Silenced: new(true), Trouble: new(false)},
		"q=+INC-42+&before=43&limit=7": {Query: "INC-42", Before: 43, Limit: 7},
	} {
		s := filledStore()
		c, _ := newConsole(t, Config{FlowIDs: flowNames}, s)
		if resp := ask(c, "GET", "/api/v1/incidents?"+query, ""); resp.StatusCode != 200 {
			t.Errorf("%s: %s %s", query, resp.Status, text(t, resp))
			continue
		}
		if want.Limit == 0 {
			want.Limit = maxLimit
		}
		if want.Labels == nil {
			want.Labels = map[string]string{}
		}
		if diff := cmp.Diff([]router.IncidentFilter{want}, s.incidentFilters); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestEventsAndDeliveriesAreNarrowed(t *testing.T) {
	s := filledStore()
	c, _ := newConsole(t, Config{FlowIDs: flowNames}, s)
	ask(c, "GET", "/api/v1/events?state=folded&name=flow_status_change,X&flow=Checkout&waba=w&source=meta"+
		"&from=1h&to=2026-05-04&incident=INC-4&q=ERR&digest=d&before=9", "")
	ask(c, "GET", "/api/v1/deliveries?state=parked&notifier=chat&incident=42&q=refused&before=9&limit=3", "")
	if diff := cmp.Diff([]router.EventFilter{{State: router.EventFolded, Names: []string{router.FlowStatusChange, "X"},
		Flow: "1987937931743377", WABA: "w",
		Source: router.SourceMeta, From: noon.Add(-time.Hour), To: noon.Add(-12 * time.Hour), Incident: 4, Query: "ERR",
		Digest: "d", Before: 9, Limit: 100}},
		s.eventFilters); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]router.DeliveryFilter{{State: router.DeliveryParked, Notifier: "chat", Incident: 42,
		Query: "refused", Before: 9, Limit: 3}},
		s.deliveryFilters); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

// TestListsAreReadPageByPage follows next of every list to its end.
func TestListsAreReadPageByPage(t *testing.T) {
	for _, tt := range []struct{ path, key, id, want string }{
		{"/api/v1/incidents?limit=2", "incidents", "number", "42 41 40"},
		{"/api/v1/deliveries?limit=3", "deliveries", "id", "10 9 8 7"},
		{"/api/v1/silences?limit=1", "silences", "id", "deploying all over ended"},
		{"/api/v1/silences?limit=2&all=true", "silences", "id", "deploying all over ended forgotten"},
		{"/api/v1/silences?limit=2&all=true&state=ended", "silences", "id", "over ended forgotten"},
	} {
		c, _ := newConsole(t, Config{}, filledStore())
		var got []string
		for before, pages := "", 0; pages < 9; pages++ {
			var answer map[string]any
			if err := json.Unmarshal([]byte(text(t, ask(c, "GET", tt.path+before, ""))), &answer); err != nil {
				t.Fatal(err)
			}
			for _, one := range answer[tt.key].([]any) {
				got = append(got, fmt.Sprint(one.(map[string]any)[tt.id]))
			}
			next, there := answer["next"]
			if !there {
				t.Fatalf("%s: no next in %v", tt.path, answer)
			}
			if next == nil {
				break
			}
			before = fmt.Sprint("&before=", next)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %s, want %s", tt.path, strings.Join(got, " "), tt.want)
		}
	}
}

func TestAllThatAFilterNamesIsTriedAgain(t *testing.T) {
	for body, want := range map[string]struct {
		filter  router.DeliveryFilter
		retried int
		what    string
	}{
		"":                     {router.DeliveryFilter{State: router.DeliveryParked}, 1, "retry all parked deliveries"},
		`{"state": "waiting"}`: {router.DeliveryFilter{State: router.DeliveryWaiting}, 1, "retry all waiting deliveries"},
		`{"notifier": "ops-chat", "q": "channel\n_not"}`: {router.DeliveryFilter{State: router.DeliveryParked,
			Notifier: "ops-chat", Query: "channel\n_not"}, 1,
			`retry all parked deliveries to ops-chat whose error has "channel _not"`},
	} {
		s := filledStore()
		c, logs := newConsole(t, Config{}, s)
		resp := ask(c, "POST", "/api/v1/deliveries/retry", body)
		if answer := text(t, resp); resp.StatusCode != 202 || strings.TrimSpace(answer) != fmt.Sprintf(`{"retried":%d}`,
			want.retried) {
			t.Errorf("%s: %s %s", body, resp.Status, answer)
		}
		if diff := cmp.Diff([]router.DeliveryFilter{want.filter}, s.deliveryFilters); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
		if len(s.audit) != 1 || s.audit[0].What != want.what || s.audit[0].Result != "1 are tried at once" ||
			s.audit[0].From == "" ||
			!strings.Contains(logs.String(), "a person asks for retries") {
			t.Errorf("%s: audit %+v, log %s", body, s.audit, logs)
		}
	}
}
