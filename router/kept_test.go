package router

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// byThreshold matches what is at 10 % or worse by one rule, what is below by none, and pages for the first.
type byThreshold struct{ fixed }

func (byThreshold) Decide(e *Event) Decision {
	pager := Target{Notifier: "page", Kind: KindPagerDuty}
	route := []Route{{Target: pager, After: 5 * time.Minute}}
	d := Decision{Version: "v1", Severity: Error, Notify: route, Named: []Target{pager}}
	if *e.Threshold >= 10 {
		d.Rules, d.Notify = []string{"bad", "also"}, []Route{{Target: pager}}
	}
	return d
}

func (byThreshold) Targets() []Target { return []Target{{Notifier: "page", Kind: KindPagerDuty}} }

func TestABatchSaysWhatRulesDid(t *testing.T) {
	at := time.Date(2026, 3, 2, 23, 58, 0, 0, time.UTC)
	day := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	event := func(seq int64, flow, state string, threshold float64) Event {
		return Event{Seq: seq, Source: SourceMeta, At: at, Received: at, WABA: "w", Flow: flow, Name: EndpointErrorRate,
			AlertState: state, Threshold: &threshold}
	}
	g := newBatch(byThreshold{}, map[FlowID]State{}, 0, nil, at)
	for _, e := range []Event{
		event(1, "a", Activated, 10), event(2, "a", Activated, 50), // a page, and one that is told already
		event(3, "b", Activated, 5), // a page in five minutes
		{Seq: 4, Source: SourceConsole, At: at, Received: at, WABA: "w", Flow: "a", Name: Acknowledge,
			Act: &Act{Incident: 1}},
	} {
		g.event(&e)
	}
	b := g.result()
	want := []RuleHits{
		{Day: day, Rule: "also", Hits: 2, Last: at},
		{Day: day, Rule: "bad", Hits: 2, Pages: 1, Last: at},
		{Day: day, Rule: "default", Hits: 1, Last: at},
	}
	if diff := cmp.Diff(want, b.Hits); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, inc := range b.Incidents {
		if inc.RulesVersion != "v1" {
			t.Errorf("%s: opened by rules %q", inc.Name(), inc.RulesVersion)
		}
	}

	later := newBatch(byThreshold{}, g.states, 2, nil, at.Add(6*time.Minute)) // the next day
	later.tick(FlowID{"w", "b"})
	want = []RuleHits{{Day: day.AddDate(0, 0, 1), Rule: "default", Pages: 1}}
	if diff := cmp.Diff(want, later.result().Hits); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
