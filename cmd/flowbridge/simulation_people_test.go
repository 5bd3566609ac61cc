package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

const testWebhooks = router.Secret("webhook-secret-of-the-simulation")

// personAct is something that a person, or PagerDuty by itself, did to an incident.
type personAct struct {
	name     string // as the journal calls it
	at       time.Time
	incident int64 // ours; 0 of what was done in PagerDuty
	page     int64 // PagerDuty's number; 0 of what was done here
	person   bool
}

// hook is a webhook of PagerDuty on its way.
type hook struct {
	at   time.Time // not before
	body []byte
	act  personAct
}

// act is a person doing something to an incident through the admin API.
func (w *world) act() {
	ctx := context.Background()
	all, err := w.store.Incidents(ctx, router.IncidentFilter{Limit: 6})
	w.must(err)
	if len(all) == 0 {
		return
	}
	names := []string{router.Acknowledge, router.Acknowledge, router.Unacknowledge, router.Resolve, router.Reopen,
		router.PageNow}
	name := names[w.rand.IntN(len(names))]
	w.actThere(&all[w.rand.IntN(len(all))].Incident, name)
}

func (w *world) actThere(inc *router.Incident, name string) {
	w.Acts++
	w.now = w.now.Add(time.Second)
	w.say("a person: %s %s", name, inc.Name())
	_, err := w.store.Append(context.Background(), []router.Event{{
		Digest: fmt.Sprintf("act/%d", w.Acts), Source: router.SourceConsole, Name: name, At: w.now, Received: w.now,
		WABA: inc.WABA, Flow: inc.Flow, Act: &router.Act{Incident: inc.Number, Actor: "somebody"},
	}})
	w.may(err) // who acts in vain is told so, and does what he likes
}

// silence is a person silencing what is wrong, mostly until it has recovered, or ending a silence.
func (w *world) silence() {
	ctx := context.Background()
	unresolved, err := w.unresolved()
	w.must(err)
	holding, err := w.store.Silences(ctx)
	w.must(err)
	if len(holding) > 0 && w.rand.IntN(6) == 0 {
		s := holding[w.rand.IntN(len(holding))]
		w.askSilence(router.EndSilence, router.Silence{ID: s.ID})
		return
	}
	if len(unresolved) == 0 || len(holding) > 2 {
		return
	}
	inc := unresolved[w.rand.IntN(len(unresolved))]
	s := router.Silence{ID: fmt.Sprintf("S%d", w.Acts), By: "somebody"}
	switch w.rand.IntN(7) {
	case 0:
		s.Flow = inc.Flow
	case 1:
		s.Flow, s.WABA = inc.Flow, inc.WABA
	case 2:
		s.Event = inc.Event
	case 3:
		s.WABA = inc.WABA
	case 4, 5:
		s.Labels = map[string]string{"team": inc.Labels["team"]}
	}
	if w.rand.IntN(4) == 0 {
		s.Until = w.now.Add(time.Duration(10+w.rand.IntN(120)) * time.Minute)
	}
	w.askSilence(router.AddSilence, s)
}

func (w *world) askSilence(name string, s router.Silence) {
	w.say("a person: %s %+v", name, s)
	w.Acts++
	_, err := w.store.Append(context.Background(), []router.Event{{
		Digest: fmt.Sprintf("act/%d", w.Acts), Source: router.SourceConsole, Name: name, At: w.now, Received: w.now,
		Act: &router.Act{Actor: "somebody", Silence: &s},
	}})
	w.may(err)
}

// agents are who does what in PagerDuty: a person, and what is none.
var (
	agentPerson = map[string]any{"id": "PBEN", "type": "user_reference", "summary": "ben"}
	agentOurs   = map[string]any{"id": "PINT", "type": "events_api_v2_inbound_integration_reference", "summary": "API"}
	agentsOfIts = []map[string]any{nil, {"id": "PSVC", "type": "service_reference", "summary": "Checkout"},
		{"id": "PWF", "type": "workflow_reference", "summary": "auto-resolve"}}
)

// inPagerDuty is a person, or PagerDuty itself, doing something to one of its incidents; false if that is not possible
// there.
func (w *world) inPagerDuty() bool {
	all := w.pager.Incidents()
	if len(all) == 0 {
		return false
	}
	all = all[max(0, len(all)-6):]
	inc := all[w.rand.IntN(len(all))]
	if w.has(withItself) && (!w.has(withHooks|withShuffled) || w.rand.IntN(3) == 0) {
		name := []string{router.Unacknowledge, router.Resolve}[w.rand.IntN(2)]
		return w.actInPagerDuty(&inc, name, agentsOfIts[w.rand.IntN(len(agentsOfIts))])
	}
	names := []string{router.Acknowledge, router.Acknowledge, router.Acknowledge, router.Unacknowledge,
		router.Unacknowledge, router.Resolve, router.Reopen}
	return w.actInPagerDuty(&inc, names[w.rand.IntN(len(names))], agentPerson)
}

// actInPagerDuty does something to one of PagerDuty's incidents, which tells of it.
func (w *world) actInPagerDuty(inc *sandbox.Incident, name string, agent map[string]any) bool {
	d, who := personAct{name: name, page: inc.Number, person: agent["type"] == agentPerson["type"]}, "ben"
	if !d.person {
		who = ""
		if name == router.Resolve && w.autoResolved[inc.DedupKey] { // what it resolves is paged again once
			return false
		}
	}
	if name == router.Reopen && slices.ContainsFunc(w.pager.Incidents(), func(other sandbox.Incident) bool {
		return other.DedupKey == inc.DedupKey && other.Status != sandbox.IncidentResolved
	}) {
		return false // one alert of a key is open at a time
	}
	w.now = w.now.Add(time.Second)
	d.at = w.now.Truncate(time.Millisecond)
	do := map[string]func(int64, string) error{
		router.Acknowledge: w.pager.Acknowledge, router.Unacknowledge: w.pager.Unacknowledge,
		router.Resolve: w.pager.Resolve, router.Reopen: w.pager.Reopen,
	}[name]
	if do(inc.Number, who) != nil {
		return false
	}
	w.Acts++
	w.say("PagerDuty: %s #%d %s by %v", d.name, inc.Number, inc.DedupKey, agent)
	w.acts = append(w.acts, d)
	w.noteAct(inc, &d)
	w.tellOf(inc.Number, "incident."+map[string]string{
		router.Acknowledge: "acknowledged", router.Unacknowledge: "unacknowledged",
		router.Resolve: "resolved", router.Reopen: "reopened",
	}[d.name], agent, d)
	return true
}

// noteAct remembers what a personAct in PagerDuty means for what is to be found there in the end.
func (w *world) noteAct(inc *sandbox.Incident, d *personAct) {
	switch d.name {
	case router.Acknowledge:
		w.pageAcked[inc.Number] = d.at
	case router.Resolve:
		w.outside[inc.DedupKey]++
		if !d.person {
			w.autoResolved[inc.DedupKey] = true
		}
	case router.Reopen:
		w.reopenedThere[inc.Number] = true
	}
	w.seen = w.statuses()
}

// tellOf puts a webhook on its way.
func (w *world) tellOf(number int64, kind string, agent map[string]any, d personAct) {
	if !w.has(withHooks | withShuffled | withItself) {
		return
	}
	inc := w.pager.Incidents()[number-1]
	w.hookIDs++
	body, err := json.Marshal(map[string]any{"event": map[string]any{
		"id": fmt.Sprintf("hook-%d", w.hookIDs), "event_type": kind, "resource_type": "incident",
		"occurred_at": w.now.UTC().Format("2006-01-02T15:04:05.000Z"), "agent": agent, "data": map[string]any{
			"id": inc.ID, "type": "incident", "number": inc.Number, "status": inc.Status,
			"title": inc.Summary, "incident_key": inc.DedupKey,
			"created_at": inc.OpenedAt.UTC().Format("2006-01-02T15:04:05Z"),
			"html_url":   "https://example.pagerduty.com/incidents/" + inc.ID, "assignees": []any{agentPerson},
		}}})
	w.must(err)
	h, copies := hook{w.now.Add(time.Second), body, d}, 1
	if w.has(withShuffled) {
		copies += w.rand.IntN(5) / 4
	}
	for range copies {
		if w.has(withShuffled) {
			longest := []time.Duration{2 * time.Second, time.Minute, 30 * time.Minute, 36 * time.Hour}[min(w.rand.IntN(13)/4, 3)]
			h.at = w.now.Add(longest / 1000 * time.Duration(1+w.rand.IntN(1000)))
		}
		w.unheard = append(w.unheard, h)
	}
	if w.has(withShuffled) {
		slices.SortStableFunc(w.unheard, func(a, b hook) int { return a.at.Compare(b.at) })
	}
}

// hookOne delivers the next webhook of PagerDuty, which repeats what is not answered 2xx.
func (w *world) hookOne() {
	if len(w.unheard) == 0 || w.unheard[0].at.After(w.now) {
		return
	}
	h := w.unheard[0]
	w.unheard[0].at = w.now.Add(time.Minute) // unless it is answered
	req := httptest.NewRequest(http.MethodPost, "/webhooks/pagerduty", bytes.NewReader(h.body))
	req.Header.Set("X-PagerDuty-Signature", sandbox.SignWebhook(testWebhooks, h.body))
	answer := httptest.NewRecorder()
	w.hearing = &h.act
	defer func() { w.hearing = nil }()
	w.webhooks.ServeHTTP(answer, req)
	text := string(h.body)
	_, kind, _ := strings.Cut(text, `"event_type":"`)
	w.say("webhook answered %d: %.24s of #%d, which occurred %s",
		answer.Code, kind, h.act.page, h.act.at.Format("15:04:05"))
	if answer.Code/100 == 2 {
		w.unheard = w.unheard[1:]
	}
	if w.has(withShuffled) {
		slices.SortStableFunc(w.unheard, func(a, b hook) int { return a.at.Compare(b.at) })
	}
}

// statuses are those of every incident in PagerDuty, with how many triggers it took.
func (w *world) statuses() (all []pageStatus) {
	for _, inc := range w.pager.Incidents() {
		all = append(all, pageStatus{inc.Status, inc.Triggers})
	}
	return all
}

type pageStatus struct {
	status   string
	triggers int
}

// seePager notes what an attempt of ours came to in PagerDuty, which tells of it.
func (w *world) seePager() {
	n := w.claimed
	now := w.statuses()
	for i, inc := range w.pager.Incidents() {
		was := pageStatus{}
		if i < len(w.seen) {
			was = w.seen[i]
		}
		owners := w.owners[inc.Number]
		if n != nil && n.Incident != nil && inc.Triggers > was.triggers && !slices.Contains(owners, n.Incident.Number) {
			w.owners[inc.Number] = append(owners, n.Incident.Number)
		}
		// Who acknowledged the incident here has what it had come to by then, though somebody there had the page before.
		if inc.Status == sandbox.IncidentAcknowledged && n != nil && n.Incident != nil && n.Key == inc.DedupKey {
			w.pageAcked[inc.Number] = later(w.pageAcked[inc.Number], n.Incident.AcknowledgedAt)
		}
		if inc.Status == was.status {
			continue
		}
		if was.status == "" {
			w.Pages++
			w.tellOf(inc.Number, "incident.triggered", agentOurs, personAct{page: inc.Number, at: w.now})
		}
		if inc.Status != sandbox.IncidentTriggered {
			w.tellOf(inc.Number, "incident."+inc.Status, agentOurs, personAct{page: inc.Number, at: w.now})
		}
		if inc.Status == sandbox.IncidentResolved {
			w.partly(n, &inc)
		}
	}
	w.seen = now
}

// partly notes where we resolved a page that an active alert still routes to, under whatever name.
func (w *world) partly(n *router.Notification, page *sandbox.Incident) {
	if n == nil || n.Incident == nil || n.Open || n.Incident.State == router.IncidentResolved {
		return
	}
	for _, watch := range n.Incident.Watch {
		// A second page that is over is ended before the next one with its key is made.
		next := watch.PagedAt != 0 && slices.ContainsFunc(n.Incident.Watch, func(older router.Watch) bool {
			return older.PagedAt != 0 && older.PagedAt < watch.PagedAt && !older.Open && older.Notifier == n.Target.Notifier &&
				keyOf(n.Incident, &older) == page.DedupKey
		})
		if isPager(watch.Notifier) && watch.Open && !next && keyOf(n.Incident, &watch) == page.DedupKey {
			w.breaks(partialRecovery, "%s resolved #%d (%s), and %s still routes there", n.Target.Notifier,
				page.Number, page.DedupKey, watch.Notifier)
		}
	}
}

// keyOf is what PagerDuty knows an incident's page by.
func keyOf(inc *router.Incident, watch *router.Watch) string {
	if watch.PagedAt != 0 {
		return inc.Key + "/" + watch.Severity.String()
	}
	return inc.Key
}
