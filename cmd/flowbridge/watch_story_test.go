package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	"flowbridge/router/console"
	"flowbridge/router/store"
	databases "flowbridge/router/store/storetest"
)

const watchRules = `version: 1
notifiers:
  ops: {kind: slack, channel: "#ops"}
  page: {kind: pagerduty, routing_key: "${PD_KEY}", drill: page}
rules:
  - {name: flows, match: {field: flows}, notify: [ops, page]}
  - {name: others, match: {flow: "1"}, notify: [ops]}
fallback: page
`

// incidents returns those of an event.
func (p *process) incidents(t *testing.T, event string) (of []console.Incident) {
	t.Helper()
	var list struct{ Incidents []console.Incident }
	p.get(t, "/api/v1/incidents", &list)
	for _, inc := range list.Incidents {
		if inc.Event == event {
			of = append(of, inc)
		}
	}
	return of
}

// keepSight writes to a database that is not in use when Meta's last post came.
func keepSight(t *testing.T, db string, at time.Time) {
	t.Helper()
	s, err := store.Open(context.Background(), store.Config{DSN: db, StartWait: databases.Patience})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.KeepSights(context.Background(), []router.Sight{{What: router.SightPost, At: at}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestASourceThatFallsSilentIsOneIncident holds that the silence of Meta is told once, stays open over a restart and a
// crash, and is over with the next post: once, on the same card.
func TestASourceThatFallsSilentIsOneIncident(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	s.env = append(s.env, "FLOWBRIDGE_WATCH_EVERY=20ms")
	rules, db := writeRules(t, watchRules+"watch: {after: 1h, notify: [ops]}\n"), databases.File(t)
	keepSight(t, db, time.Now().Add(-2*time.Hour))
	p := start(t, s, rules, db)
	is := func(state string) func() bool {
		return func() bool {
			all := p.incidents(t, router.SourceSilent)
			return len(all) == 1 && all[0].State == state && all[0].Subject.Kind == "bridge" && len(all[0].Deliveries) == 1 &&
				all[0].Deliveries[0].State == "delivered" && all[0].Deliveries[0].Notifier == "ops"
		}
	}
	eventually(t, "the silence is told", is("open"))
	if err := p.stop(t); err != nil {
		t.Fatal(err)
	}
	p = start(t, s, rules, db)
	eventually(t, "it is open after a restart", is("open"))
	p.kill()
	p = start(t, s, rules, db)
	eventually(t, "it is open after a crash", is("open"))
	var before, after struct{ Events []console.Event }
	p.get(t, "/api/v1/events", &before)
	looks := p.counter(t, "flowbridge_watch_looks_total")
	eventually(t, "it has looked again and again",
		func() bool { return p.counter(t, "flowbridge_watch_looks_total") > looks+3 })
	p.get(t, "/api/v1/events", &after)
	if len(before.Events) != 1 || len(after.Events) != 1 {
		t.Errorf("%d events, and then %d: %+v", len(before.Events), len(after.Events), after.Events)
	}
	p.post(t, `{"object":"whatsapp_business_account","entry":[]}`, http.StatusOK) // well signed is what counts
	eventually(t, "it is over", is("resolved"))
	cards := rootsOf(s.Slack)
	if len(cards) != 1 || !strings.Contains(cards[0].Text, "Resolved: flowbridge: Silence of Meta (INC-1)") {
		t.Errorf("the cards: %+v", cards)
	}
	if pages := s.PagerDuty.Incidents(); len(pages) > 0 {
		t.Errorf("somebody was paged: %+v", pages)
	}
}

// TestTheHeartbeatEndsWithTheWork holds that a dead man's switch is called while everything gets on, and not while it
// does not, and that its address is nobody's business.
func TestTheHeartbeatEndsWithTheWork(t *testing.T) {
	t.Parallel()
	var beats, status atomic.Int64
	status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/ping/a-secret-of-the-switch" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		beats.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	s := newServices(t, "#ops")
	s.env = append(s.env, "FLOWBRIDGE_WATCH_EVERY=20ms", "FLOWBRIDGE_STALLED_AFTER=200ms", "FLOWBRIDGE_HEARTBEAT="+
		server.URL+"/ping/a-secret-of-the-switch")
	path := databases.File(t)
	p := start(t, s, writeRules(t, watchRules), path)
	eventually(t, "the heart beats", func() bool { return beats.Load() > 2 })
	status.Store(http.StatusNotFound)
	eventually(t, "a fault is logged", func() bool { return strings.Contains(p.stderr.String(), "it answered 404") })
	status.Store(http.StatusOK)
	eventually(t, "its end is logged",
		func() bool { return strings.Contains(p.stderr.String(), "the heartbeat is told again") })

	db := openDatabase(t, "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	run(t, db, `ALTER TABLE timeline RENAME TO gone`)
	p.post(t, pairPost(lately, "77", router.Activated, 50), http.StatusOK)
	eventually(t, "/readyz says no", func() bool { return p.readiness(t) == http.StatusServiceUnavailable })
	looks, last := p.counter(t, "flowbridge_watch_looks_total"), int64(-1)
	eventually(t, "the heart has stopped for 20 looks", func() bool {
		if now := beats.Load(); now != last {
			looks, last = p.counter(t, "flowbridge_watch_looks_total"), now
		}
		return p.counter(t, "flowbridge_watch_looks_total") > looks+20
	})
	run(t, db, `ALTER TABLE gone RENAME TO timeline`)
	eventually(t, "it beats again", func() bool { return beats.Load() > last })
	if err := p.stop(t); err != nil {
		t.Error(err)
	}
	if strings.Contains(p.stderr.String(), "a-secret-of-the-switch") || strings.Contains(p.stderr.String(), server.URL) {
		t.Errorf("the log names the address:\n%s", p.stderr)
	}
}

// drilled runs flowbridge drill against a process.
func (p *process) drilled(t *testing.T, s *services, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	of := program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(name string) (string, bool) {
		for _, pair := range s.env {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}}
	code = of.run(context.Background(),
		append([]string{"drill", "--admin", p.Admin, "--url", p.Public + "/webhooks/whatsapp"}, args...))
	return code, out.String()
}

// TestADrillGoesAllTheWay holds that a drill is told and ended like real trouble, says DRILL to everybody, and fails
// when somebody is not told.
func TestADrillGoesAllTheWay(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	s := newServices(t, "#ops")
	p := start(t, s, writeRules(t, watchRules), databases.File(t))
	code, said := p.drilled(t, s)
	steps := regexp.MustCompile(
		`(?s)ACTIVATED sent.* INC-1 is open, by rule "flows"\n.* was told .*DEACTIVATED sent.* INC-1 is resolved.* was told that it is over.* everybody was told\n$`)
	if code != exitDone || !steps.MatchString(said) || strings.Count(said, "page (pagerduty)") != 2 ||
		strings.Count(said, "ops (slack)") != 2 {
		t.Errorf("it ended with %d:\n%s", code, said)
	}
	cards, pages := rootsOf(s.Slack), s.PagerDuty.Incidents()
	if len(cards) != 1 || !strings.Contains(cards[0].Text, "DRILL: ") || len(pages) != 1 ||
		pages[0].Status != "resolved" ||
		!strings.Contains(pages[0].Summary, "DRILL ") {
		t.Errorf("cards %+v\npages %+v", cards, pages)
	}
	var inc console.Incident
	p.get(t, "/api/v1/incidents/1", &inc)
	if !inc.Drill || inc.FlowName != router.DrillName || len(inc.Timeline) < 2 ||
		slices.ContainsFunc(inc.Timeline, func(e console.Entry) bool { return !strings.HasPrefix(e.Text, "DRILL: ") }) {
		t.Errorf("the incident: %+v", inc)
	}
	var seen struct{ Seen []console.Sight }
	p.get(t, "/api/v1/seen", &seen)
	for _, one := range seen.Seen {
		if one.What == string(router.SightPost) && one.At != nil {
			t.Errorf("a drill counts as a post of Meta's: %+v", one)
		}
	}
	var list struct{ Hits []console.RuleHits }
	p.get(t, "/api/v1/rules", &list)
	if len(list.Hits) > 0 {
		t.Errorf("a drill counts among the hits of rules: %+v", list.Hits)
	}

	if code, said := p.drilled(t, s, "--rule", "others"); code != exitDone || strings.Contains(said, "page (pagerduty)") ||
		!strings.Contains(said, `by rule "others"`) {
		t.Errorf("by another rule it ended with %d:\n%s", code, said)
	}
	if code, said := p.drilled(t, s, "--rule", "nobody's"); code != exitFault ||
		!strings.Contains(said, `MISSING: the bridge has no rule "nobody's"`) {
		t.Errorf("by a rule that there is not it ended with %d:\n%s", code, said)
	}
	s.Slack.Fail(sandbox.Fault{Status: http.StatusServiceUnavailable})
	if code, said := p.drilled(t, s, "--timeout", "1s"); code != exitFault || !strings.Contains(said,
		"MISSING: ops was not told: waiting") || strings.Count(said, "page (pagerduty)") != 2 {
		t.Errorf("without Slack it ended with %d:\n%s", code, said)
	}
	s.Slack.ClearFaults()
	for _, inc := range p.incidents(t, router.EndpointAvailability) {
		if inc.State != "resolved" {
			t.Errorf("%d is %s", inc.Number, inc.State)
		}
	}
	p.command(t, "silences", "add", "--everything", "--for", "1h")
	why := regexp.MustCompile(`(?s)MISSING: silence \w+ covers it: nobody is told\n.* INC-\d+ is resolved, by rule "flows"\n$`)
	if code, said := p.drilled(t, s); code != exitFault || !why.MatchString(said) {
		t.Errorf("under a silence it ended with %d:\n%s", code, said)
	}
	for i, env := range s.env {
		if strings.HasPrefix(env, "META_APP_SECRET=") {
			s.env[i] = "META_APP_SECRET=of-somebody-else"
		}
	}
	if code, said := p.drilled(t, s); code != exitFault || !strings.Contains(said, "401") {
		t.Errorf("without the secret it ended with %d:\n%s", code, said)
	}
}

func TestAPlannedDrillSaysWhoWasNotToldAndWhy(t *testing.T) {
	silenced := router.IncidentDetail{Incident: router.Incident{Silence: router.Silence{ID: "k3v9x0aqbz"}}}
	waiting := []router.Delivery{{Notifier: "ops", State: router.DeliveryDelivered},
		{Notifier: "page", State: router.DeliveryParked}}
	for want, inc := range map[string]router.IncidentDetail{
		"silence k3v9x0aqbz covers it": silenced, "no rule tells anybody": {}, "page: parked": {Deliveries: waiting},
	} {
		if got := untold(&inc); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestADrillSaysThatNobodyIsAffected looks at what everybody sees while a drill goes on.
func TestADrillSaysThatNobodyIsAffected(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	p := start(t, s, writeRules(t, watchRules), filepath.Join(t.TempDir(), "bridge.db"))
	now := time.Now()
	for _, state := range []string{router.Activated, router.Deactivated} {
		body, err := drillBody(drillFlow(now), "", now, state)
		must(t, err)
		p.post(t, string(body), http.StatusOK)
		eventually(t, "both are told", func() bool {
			return len(rootsOf(s.Slack)) == 1 && len(s.PagerDuty.Incidents()) == 1
		})
		_, page := p.asBrowser(t, "/incidents/1", nil)
		signal := router.SignalOf(router.EndpointAvailability)
		for where, text := range map[string]string{
			"the card": cardText(rootsOf(s.Slack)[0]), "the console": page,
			"the page": fmt.Sprint(s.PagerDuty.Incidents()[0].Details, s.PagerDuty.Incidents()[0].Summary),
		} {
			if !strings.Contains(text, router.DrillName) || strings.Contains(text, "For users") ||
				strings.Contains(text, signal.Impact) || strings.Contains(text, signal.Help) {
				t.Errorf("%s, when it is %s: %s", where, state, text)
			}
			if state == router.Activated && !strings.Contains(text, "no user is affected") {
				t.Errorf("%s does not say that nobody is affected: %s", where, text)
			}
		}
	}
	must(t, p.stop(t))
}

// TestSeveralBridgesHoldOneDrill holds that of two processes on one database one holds the planned drill, and one tells
// of the silence.
func TestSeveralBridgesHoldOneDrill(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	dsn := databases.Shared(t).Database(t)
	s := newServices(t, "#ops")
	s.env = append(s.env, "FLOWBRIDGE_WATCH_EVERY=20ms")
	keepSight(t, dsn, time.Now().Add(-2*time.Hour))
	at := time.Now().UTC().Format("15:04")
	rules := writeRules(t, watchRules+"watch: {after: 1h, notify: [ops]}\ndrill: {every: 1d, at: \""+at+
		"\", rule: others}\n")
	p, other := start(t, s, rules, dsn), start(t, s, rules, dsn)
	eventually(t, "the drill is over, and the silence is told", func() bool {
		drills, silences := p.incidents(t, router.EndpointAvailability), p.incidents(t, router.SourceSilent)
		return len(drills) == 1 && drills[0].State == "resolved" && drills[0].Rule == "others" && len(silences) == 1 &&
			len(rootsOf(s.Slack)) == 2
	})
	p.kill()
	other.post(t, pairPost(lately, "77", router.Activated, 50), http.StatusOK)
	eventually(t, "the other goes on", func() bool {
		silences := other.incidents(t, router.SourceSilent)
		return len(silences) == 1 && silences[0].State == "resolved" && len(rootsOf(s.Slack)) == 3
	})
	if drills := other.incidents(t, router.EndpointAvailability); len(drills) != 1 {
		t.Errorf("%d drills", len(drills))
	}
}

// TestADrillOfTheRulesIsOneWhateverEnds holds that a planned drill begins and ends once, over restarts, and that one
// which does not get through is trouble until the next does.
func TestADrillOfTheRulesIsOneWhateverEnds(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	s := newServices(t, "#ops")
	s.env = append(s.env, "FLOWBRIDGE_WATCH_EVERY=20ms")
	at := time.Now().UTC().Format("15:04")
	rules, db := writeRules(t, watchRules+"drill: {every: 1d, at: \""+at+"\"}\n"), databases.File(t)
	s.PagerDuty.Fail(sandbox.Fault{Status: http.StatusServiceUnavailable})
	p := start(t, s, rules, db)
	eventually(t, "the drill has begun, and the page waits", func() bool {
		all := p.incidents(t, router.EndpointAvailability)
		return len(all) == 1 && all[0].Drill && all[0].State == "open" && len(rootsOf(s.Slack)) == 1
	})
	p.kill()
	s.PagerDuty.ClearFaults()
	p = start(t, s, rules, db)
	eventually(t, "it is over", func() bool {
		all := p.incidents(t, router.EndpointAvailability)
		return len(all) == 1 && all[0].State == "resolved" && all[0].Deliveries[0].State == "delivered" &&
			all[0].Deliveries[1].State == "delivered"
	})
	looks := p.counter(t, "flowbridge_watch_looks_total")
	eventually(t, "it has looked again and again",
		func() bool { return p.counter(t, "flowbridge_watch_looks_total") > looks+5 })
	if all := p.incidents(t, router.EndpointAvailability); len(all) != 1 {
		t.Errorf("there are %d drills", len(all))
	}
	if all := p.incidents(t, router.DrillFailed); len(all) != 0 {
		t.Errorf("it has failed: %+v", all)
	}
	if pages := s.PagerDuty.Incidents(); len(pages) != 1 || pages[0].Status != "resolved" || len(rootsOf(s.Slack)) != 1 {
		t.Errorf("pages %+v, %d cards", pages, len(rootsOf(s.Slack)))
	}
}

// TestTheWeekIsReportedOnce holds that a report is told to whom the rules name, once, over a restart.
func TestTheWeekIsReportedOnce(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	s.env = append(s.env, "FLOWBRIDGE_WATCH_EVERY=20ms")
	now := time.Now().UTC()
	at := strings.ToLower(now.Weekday().String()) + now.Format(" 15:04")
	rules, db := writeRules(t, watchRules+"report: {every: \""+at+"\", to: ops}\n"),
		databases.File(t)
	p := start(t, s, rules, db)
	eventually(t, "the report is told", func() bool { return len(rootsOf(s.Slack)) == 1 })
	if card := rootsOf(s.Slack)[0]; !strings.Contains(string(card.Blocks)+string(card.Attachments),
		"Incidents: 0 opened, 0 resolved, 0 still open") {
		t.Errorf("it says %s %s %s", card.Text, card.Blocks, card.Attachments)
	}
	p.kill()
	p = start(t, s, rules, db)
	looks := p.counter(t, "flowbridge_watch_looks_total")
	eventually(t, "it has looked again and again",
		func() bool { return p.counter(t, "flowbridge_watch_looks_total") > looks+5 })
	if cards := rootsOf(s.Slack); len(cards) != 1 {
		t.Errorf("%d cards", len(cards))
	}
}
