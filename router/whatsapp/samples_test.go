package whatsapp

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flowbridge/router"
)

// facts leaves out what is for people and for the journal.
var facts = cmpopts.IgnoreFields(router.Event{}, "Source", "Received", "Digest", "Message", "Value")

func errorsOf(first string) []router.ErrorCount {
	return []router.ErrorCount{{Type: first, Rate: new(66.66), Count: new(2.0)},
		{Type: "unexpected_http_status_code", Rate: new(33.33), Count: new(1.0)}}
}

func TestEverySampleDecodesToWhatItSays(t *testing.T) {
	t.Parallel()
	at := noon.Add(-time.Minute)
	for _, c := range []struct {
		sample Sample
		want   router.Event
	}{
		{Sample{Event: router.ClientErrorRate}, router.Event{AlertState: router.Activated, Threshold: new(10.0),
			Reading: router.Reading{Value: new(14.28), Errors: errorsOf("timeout_error")}}},
		{Sample{Event: router.EndpointErrorRate, WABA: "7", Flow: "8", Threshold: new(50.0), Value: new(0.0),
			AlertState: router.Deactivated, ErrorType: "public-key-missing"},
			router.Event{WABA: "7", Flow: "8", AlertState: router.Deactivated, Threshold: new(50.0),
				Reading: router.Reading{Value: new(0.0), Errors: errorsOf("public-key-missing")}}},
		{Sample{Event: router.EndpointLatency, Value: new(8000.0)},
			router.Event{AlertState: router.Activated, Threshold: new(5000.0),
				Reading: router.Reading{Value: new(8000.0), P50: new(2000.0), Requests: new(34.0)}}},
		{Sample{Event: router.EndpointAvailability}, router.Event{AlertState: router.Activated, Threshold: new(90.0),
			Reading: router.Reading{Value: new(75.0)}}},
		{Sample{Event: router.FlowStatusChange}, router.Event{OldStatus: router.Published, NewStatus: router.Blocked}},
		{Sample{Event: router.FlowStatusChange, OldStatus: router.Blocked, NewStatus: router.Throttled},
			router.Event{OldStatus: router.Blocked, NewStatus: router.Throttled}},
		{Sample{Event: router.FlowVersionExpiryWarning},
			router.Event{Warning: "The version of this flow will expire soon. Move it to a newer version."}},
		{Sample{Event: SampleTest, Flow: "9"}, router.Event{Name: router.FlowStatusChange, WABA: "0", Flow: "1000"}},
		{Sample{Event: "PHONE_NUMBER_QUALITY_UPDATE"}, router.Event{Name: "PHONE_NUMBER_QUALITY_UPDATE",
			Field:   "phone_number_quality_update",
			Subject: router.Subject{Kind: router.SubjectPhone, ID: "15550100100", Name: "+15550100100"},
			Change:  "FLAGGED", Facts: []router.Fact{{Name: "Limit", Text: "1,000 a day"}}, AlertState: router.Activated}},
		{Sample{Event: router.FlowResponse}, router.Event{Field: "messages"}},
	} {
		c.sample.Time = at
		events, ignored := Decode(sample(t, c.sample), noon, WantsAll)
		if c.want.Name == "" {
			c.want.Name = c.sample.Event
		}
		if c.want.WABA == "" {
			c.want.WABA = "104996122399160"
		}
		if c.want.Field == "" {
			c.want.Field = "flows"
		}
		if c.want.Flow == "" && c.want.Field == "flows" {
			c.want.Flow = "1987937931743377"
		}
		c.want.At = at
		if diff := cmp.Diff([]router.Event{c.want}, events, facts); diff != "" || len(ignored) != 0 {
			t.Errorf("%+v: %v let go: -want +got\n%s", c.sample, ignored, diff)
		}
	}
}

func TestTheSampleOfAMessageIsLetGo(t *testing.T) {
	t.Parallel()
	for _, name := range []string{SampleMessage, router.FlowResponse} {
		body := sample(t, Sample{Event: name})
		if ignored, ok := onlyIgnored(body, nil); !ok || ignored.Total() != 1 {
			t.Errorf("%s: not seen", name)
		}
		if events, ignored := Decode(body, noon, nil); len(events) != 0 || ignored.Total() != 1 {
			t.Errorf("%s: %d events, %v let go", name, len(events), ignored)
		}
	}
}

func TestASampleNobodyKnowsNamesTheOthers(t *testing.T) {
	t.Parallel()
	_, err := Sample{Event: "X"}.Body()
	const want = `no sample of event "X": there are `
	if err == nil || err.Error() != want+strings.Join(SampleNames(), ", ") {
		t.Errorf("got %v", err)
	}
	if !slices.IsSorted(SampleNames()) {
		t.Error("the names are not sorted")
	}
}

// TestEveryChangeHasASample holds the samples to the table of signals: each word that is known decodes to itself.
func TestEveryChangeHasASample(t *testing.T) {
	t.Parallel()
	for _, field := range router.AccountFields() {
		event := strings.ToUpper(field)
		if !slices.Contains(SampleNames(), event) {
			t.Errorf("there is no sample of %s", event)
		}
		if diff := cmp.Diff(router.KnownChanges(event), Changes(event), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: -known +sampled\n%s", event, diff)
		}
		for _, change := range append(Changes(event), "") {
			events, ignored := Decode(sample(t, Sample{Event: event, Change: change, WABA: "7", Time: noon}), noon, WantsAll)
			if len(events) != 1 || len(ignored) > 0 {
				t.Errorf("%s %s: %d events", event, change, len(events))
				continue
			}
			e := &events[0]
			if e.Name != event || e.WABA != "7" || e.Unreadable != "" || change != "" && e.Change != change {
				t.Errorf("%s %s decodes to %s %s of account %s", event, change, e.Name, e.Change, e.WABA)
			}
			if want := router.StateOf(e.SignalKey(), e.Change); event != "ACCOUNT_ALERTS" && e.AlertState != want {
				t.Errorf("%s %s is %q, want %q", event, change, e.AlertState, want)
			}
		}
	}
}

func TestAnAccountAlertEndsByItsState(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]string{"": router.Activated, router.Deactivated: router.Deactivated} {
		events, _ := Decode(sample(t, Sample{Event: "ACCOUNT_ALERTS", AlertState: state, Time: noon}), noon, WantsAll)
		if got := events[0].AlertState; got != want {
			t.Errorf("state %q: got %q, want %q", state, got, want)
		}
	}
}

func TestDatesOfSamplesLieAroundTheirTime(t *testing.T) {
	t.Parallel()
	for change, want := range map[string]router.Fact{
		"SCHEDULE_FOR_DISABLE": {Name: "Date", Text: noon.Add(sampleAnnounced).Format("2 January 2006")},
		"DISABLE":              {Name: "Date", Text: noon.Format("2 January 2006")},
		"RESTRICTED_BIZ_INITIATED_MESSAGING": {Name: "Until",
			Text: noon.Add(sampleAnnounced).Format("2 January 2006, 15:04 UTC")},
	} {
		events, _ := Decode(sample(t, Sample{Event: router.AccountUpdate, Change: change, Time: noon}), noon, WantsAll)
		if !slices.Contains(events[0].Facts, want) {
			t.Errorf("%s: %v is not among %v", change, want, events[0].Facts)
		}
	}
	events, _ := Decode(sample(t, Sample{Event: "MESSAGE_TEMPLATE_STATUS_UPDATE", Time: noon}), noon, WantsAll)
	until := router.Fact{Name: "Until", Text: noon.Add(samplePause).Format("Jan 2 at 3:04 PM UTC")}
	if !slices.Contains(events[0].Facts, until) {
		t.Errorf("a pause: %v is not among %v", until, events[0].Facts)
	}
}

func TestAChangeWithoutASampleIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ event, change string }{
		{router.AccountUpdate, "BANNED"}, {"SECURITY", "FLAGGED"}, {router.EndpointLatency, "DISABLE"},
		{"PARTNER_SOLUTIONS", "X"},
	} {
		_, err := Sample{Event: c.event, Change: c.change}.Body()
		if _, ok := errors.AsType[*ChangeError](err); !ok {
			t.Errorf("%s %s: got %v", c.event, c.change, err)
		}
	}
}

func TestASampleWithoutATimeIsOfNow(t *testing.T) {
	t.Parallel()
	before := time.Now().Truncate(time.Second)
	body, err := Sample{Event: router.FlowStatusChange}.Body()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if events, _ := Decode(body, now, nil); events[0].At.Before(before) || events[0].At.After(now) {
		t.Errorf("the event is of %v", events[0].At)
	}
}
