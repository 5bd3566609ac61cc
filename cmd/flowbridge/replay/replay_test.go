package replay

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/store"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

var (
	update       = flag.Bool("update", false, "write the golden files anew")
	replayEvents = flag.Int("replay.events", 20_000, "length of the journal that BenchmarkReplay folds")
)

// past is a database with a history that a bridge of some rules has lived through. Services are told without fail.
type past struct {
	t     testing.TB
	path  string // or URL
	store *store.Store
	now   time.Time
	fold  *router.Router
}

func newPast(t testing.TB, live *rules.Rules) *past {
	t.Helper()
	return newPastIn(t, filepath.Join(databases.TempDir(t), "past.db"), live)
}

func newPastIn(t testing.TB, path string, live *rules.Rules) *past {
	t.Helper()
	p := &past{t: t, path: path, now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return p.now }
	var err error
	if p.store, err = store.Open(context.Background(),
		store.Config{DSN: p.path, Now: clock, QueueEvents: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.store.Close() })
	p.fold, err = router.New(router.Config{Rules: func() router.Rules { return live }, Now: clock, Batch: 1000}, p.store)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// happen stores events and folds them.
func (p *past) happen(events ...router.Event) {
	p.t.Helper()
	ctx := context.Background()
	if _, err := p.store.Append(ctx, events); err != nil {
		p.t.Fatal(err)
	}
	for {
		n, err := p.fold.Fold(ctx)
		if err != nil {
			p.t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
}

// pass lets time pass, with the timers that come due.
func (p *past) pass(d time.Duration) {
	p.t.Helper()
	for end := p.now.Add(d); ; {
		_, next, err := p.fold.Tick(context.Background())
		if err != nil {
			p.t.Fatal(err)
		}
		if next.IsZero() || next.After(end) {
			p.now = end
			return
		}
		p.now = next
	}
}

// deliver tells every notifier what it is owed.
func (p *past) deliver() {
	p.t.Helper()
	ctx := context.Background()
	for {
		due, _, err := p.store.Due(ctx, p.now)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(due) == 0 {
			return
		}
		for _, notifier := range due {
			n, _, err := p.store.Claim(ctx, router.Ask{Notifier: notifier, Now: p.now, Lease: time.Minute})
			if err != nil {
				p.t.Fatal(err)
			}
			if n == nil {
				continue
			}
			result := router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision, Digest: n.Digest,
				State: router.DeliveryDelivered, Receipt: router.Receipt{Own: `{"ts":"1"}`}}
			if err := p.store.Finish(ctx, result); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

func (p *past) post(s whatsapp.Sample) {
	p.t.Helper()
	s.Time = p.now
	body, err := s.Body()
	if err != nil {
		p.t.Fatal(err)
	}
	events, _ := whatsapp.Decode(body, p.now, whatsapp.WantsAll)
	p.happen(events...)
}

func (p *past) act(name string, incident int64, by string) {
	p.t.Helper()
	inc, err := p.store.Incident(context.Background(), incident)
	if err != nil {
		p.t.Fatal(err)
	}
	p.happen(router.Event{Digest: fmt.Sprintf("act/%s/%d/%d", name, incident, p.now.UnixNano()),
		Source: router.SourceConsole, Name: name, At: p.now, Received: p.now,
		WABA: inc.WABA, Flow: inc.Flow, Act: &router.Act{Incident: incident, Actor: by}})
}

func testRules(t testing.TB, text string) *rules.Rules {
	t.Helper()
	const world = `
version: 1
flows:
  "1": {name: Checkout, team: payments}
  "2": {name: Sign-up, team: growth}
notifiers:
  chat: {kind: slack, channel: "#chat"}
  oncall: {kind: pagerduty, routing_key: "0123456789abcdef0123456789abcdef"}
`
	r, err := rules.Load("rules.yaml", []byte(strings.TrimPrefix(world, "\n")+text), rules.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const liveRules = `
rules:
  - name: rates
    match: {event: ENDPOINT_ERROR_RATE}
    notify: [chat, {to: oncall, severity: ">=error"}]
  - name: latency
    match: {event: ENDPOINT_LATENCY}
    notify: [chat]
default: {notify: [chat]}
`

// aDay is some trouble: Checkout climbs to 10 % and recovers, Sign-up is slow and stays so, a flow is published.
func aDay(p *past) {
	rate, latency := router.EndpointErrorRate, router.EndpointLatency
	p.post(whatsapp.Sample{Event: rate, Flow: "1", Threshold: new(5.0)})
	p.pass(5 * time.Minute)
	p.post(whatsapp.Sample{Event: rate, Flow: "1", Threshold: new(10.0)})
	p.deliver()
	p.pass(30 * time.Minute)
	p.act(router.Acknowledge, 1, "anna")
	p.pass(30 * time.Minute)
	p.post(whatsapp.Sample{Event: rate, Flow: "1", Threshold: new(5.0), AlertState: router.Deactivated})
	p.deliver()
	p.pass(time.Hour)
	p.post(whatsapp.Sample{Event: latency, Flow: "2", Threshold: new(7000.0)})
	p.deliver()
	p.pass(time.Hour)
	p.post(whatsapp.Sample{Event: router.FlowStatusChange, Flow: "2", OldStatus: router.Draft,
		NewStatus: router.Published})
	p.deliver()
	p.pass(time.Hour)
}

func replayed(t *testing.T, p *past, r *rules.Rules, since time.Duration) *Report {
	t.Helper()
	h, err := store.OpenHistory(context.Background(), p.path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	report, err := Run(context.Background(), h, r, since)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// summary is a report in short: the counts, and a line for each difference.
func summary(r *Report) (out []string) {
	for _, c := range []struct {
		name string
		Count
	}{{"pages", r.Pages}, {"messages", r.Messages}} {
		out = append(out, fmt.Sprintf("%s: %d live, %d now, %d same", c.name, c.Live, c.Now, c.Same))
	}
	for _, d := range r.Differences {
		out = append(out, fmt.Sprintf("%s +%d -%d %s by %s", d.Kind, d.Added, d.Gone, d.Notifier, d.Rule))
	}
	for _, n := range r.NeverHit {
		out = append(out, "never hit: "+n.Rule)
	}
	return out
}

func TestReplayPrintsTheDifferenceFromWhatWasTold(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules string
		since time.Duration
		want  []string
	}{
		{"the same rules make none", liveRules, 0,
			[]string{"pages: 1 live, 1 now, 1 same", "messages: 3 live, 3 now, 3 same"}},
		{"a rule that pages for latency adds a page", strings.Replace(liveRules,
			"    match: {event: ENDPOINT_LATENCY}\n    notify: [chat]",
			"    match: {event: ENDPOINT_LATENCY}\n    notify: [chat, oncall]", 1), 0,
			[]string{"pages: 1 live, 2 now, 1 same", "messages: 3 live, 3 now, 3 same", "page +1 -0 oncall by latency"}},
		{"a higher bar for pages takes one away", strings.Replace(liveRules, ">=error", "critical", 1), 0,
			[]string{"pages: 1 live, 0 now, 0 same", "messages: 3 live, 3 now, 3 same", "page +0 -1 oncall by rates"}},
		{"who waits longer than the trouble lasts is not told", strings.Replace(liveRules, `severity: ">=error"`,
			`severity: ">=error", after: 2h`, 1), 0,
			[]string{"pages: 1 live, 0 now, 0 same", "messages: 3 live, 3 now, 3 same", "page +0 -1 oncall by rates"}},
		{"an acknowledgement counts for the incident of the same key", strings.Replace(liveRules, `severity: ">=error"`,
			`severity: ">=error", after: 40m, unless: acknowledged`, 1), 0,
			[]string{"pages: 1 live, 0 now, 0 same", "messages: 3 live, 3 now, 3 same", "page +0 -1 oncall by rates"}},
		{"and who waits shorter is told", strings.Replace(liveRules, `severity: ">=error"`,
			`severity: ">=error", after: 20m, unless: acknowledged`, 1), 0,
			[]string{"pages: 1 live, 1 now, 1 same", "messages: 3 live, 3 now, 3 same"}},
		{"only what began in the time is compared, with what was open before in mind",
			strings.Replace(liveRules, ">=error", "critical", 1), 90 * time.Minute,
			[]string{"pages: 0 live, 0 now, 0 same", "messages: 2 live, 2 now, 2 same", "never hit: rates"}},
		{"other groups of the same trouble are one thing less", strings.Replace(liveRules,
			"match: {event: ENDPOINT_ERROR_RATE}", "match: {event: ENDPOINT_ERROR_RATE}\n    group_by: threshold", 1), 0,
			[]string{"pages: 1 live, 1 now, 1 same", "messages: 3 live, 4 now, 3 same", "message +1 -0 chat by rates"}},
		{"a rule that nothing matches is named",
			"\nrules:\n  - name: forms\n    match: {event: FLOW_RESPONSE}\n    notify: [chat]\n" + strings.TrimPrefix(liveRules,
				"\nrules:\n"), 0,
			[]string{"pages: 1 live, 1 now, 1 same", "messages: 3 live, 3 now, 3 same", "never hit: forms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPast(t, testRules(t, liveRules))
			aDay(p)
			if diff := cmp.Diff(c.want, summary(replayed(t, p, testRules(t, c.rules), c.since))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

const formRules = `
rules:
  - name: drafts
    match: {event: FLOW_STATUS_CHANGE, new_status: DRAFT}
    drop: true
  - name: forms
    match: {event: FLOW_RESPONSE}
    fields: [topic, response.email, preferred_time]
    notify: [chat]
default: {notify: [chat]}
`

func TestReplayCopesWithWhatIsNotKept(t *testing.T) {
	live := testRules(t, formRules)
	p := newPast(t, live)
	p.post(whatsapp.Sample{Event: router.FlowResponse})
	p.post(whatsapp.Sample{Event: router.FlowStatusChange, Flow: "1", OldStatus: router.Published,
		NewStatus: router.Draft})
	p.deliver()
	same := []string{"pages: 0 live, 0 now, 0 same", "messages: 1 live, 1 now, 1 same"}
	report := replayed(t, p, live, 0)
	if diff := cmp.Diff(append(same, "never hit: default"), summary(report)); diff != "" || report.Reduced != 2 {
		t.Errorf("of %d events not all is kept: -want +got\n%s", report.Reduced, diff)
	}
	events, err := p.store.Events(context.Background(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	e := events[len(events)-1].Event
	want := []router.Field{{Name: "topic", Value: "delivery"}, {Name: "response.email", Value: "customer@example.com"},
		{Name: "preferred_time", Value: "afternoon"}}
	if diff := cmp.Diff(want, live.Decide(&e).Fields); diff != "" {
		t.Errorf("the rule shows something else of what is kept (%s): -want +got\n%s", e.Value, diff)
	}

	p.pass(2 * time.Hour)
	if _, err := p.store.Sweep(context.Background(), p.now, time.Hour, 0); err != nil {
		t.Fatal(err)
	}
	p.post(whatsapp.Sample{Event: router.FlowStatusChange, Flow: "1", OldStatus: router.Draft,
		NewStatus: router.Published})
	p.deliver()
	report = replayed(t, p, live, 0)
	same = append(same, "never hit: drafts", "never hit: forms")
	if diff := cmp.Diff(same, summary(report)); diff != "" || report.Reduced != 2 {
		t.Errorf("digests alone: of %d events not all is kept: -want +got\n%s", report.Reduced, diff)
	}
}

func TestReplayFoldsTheBridgesOwnTrouble(t *testing.T) {
	const own = `
watch: {notify: [oncall]}
default: {notify: [chat]}
fallback: chat
`
	p := newPast(t, testRules(t, own))
	about := router.Subject{Kind: router.SubjectBridge, ID: "signatures", Name: "flowbridge"}
	say := func(e router.Event) {
		e.Digest, e.Source, e.At, e.Received = "own/"+e.Name+e.Change, router.SourceFlowbridge, p.now, p.now
		p.happen(e)
		p.deliver()
		p.pass(time.Hour)
	}
	say(router.Event{Name: router.BadSignatures, Change: router.RisingWord, AlertState: router.Activated, Subject: about})
	say(router.Event{Name: router.EverythingSilenced, Message: "Everything is silenced"})
	say(router.Event{Name: router.BadSignatures, Change: router.WellWord, AlertState: router.Deactivated, Subject: about})

	r := replayed(t, p, testRules(t, own), 0)
	if r.Pages != (Count{Live: 1, Now: 1, Same: 1}) || r.Messages != (Count{}) || len(r.Notes()) != 0 {
		t.Errorf("pages %+v, messages %+v, notes %q: the same rules tell the same", r.Pages, r.Messages, r.Notes())
	}
	r = replayed(t, p, testRules(t, strings.Replace(own, "oncall", "chat", 1)), 0)
	if r.Pages.Gone != 1 || r.Messages.Added != 1 || len(r.Differences) != 2 {
		t.Fatalf("pages %+v, messages %+v, %+v", r.Pages, r.Messages, r.Differences)
	}
	if got, want := r.Differences[0].Examples[0].What(), "Bad signatures of bridge signatures"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReplaySaysThatThereIsNothingToCompare(t *testing.T) {
	var out strings.Builder
	r := replayed(t, newPast(t, testRules(t, liveRules)), testRules(t, liveRules), 0)
	if err := r.Print(&out, strings.TrimSpace); err != nil {
		t.Fatal(err)
	}
	want := "0 events folded through  in 0.0 s; the journal holds nothing to compare"
	if got, _, _ := strings.Cut(out.String(), "\n"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestReplayTellsFlowsOfOneNameApart(t *testing.T) {
	p := newPast(t, testRules(t, liveRules))
	for _, waba := range []string{"501", "502"} {
		p.post(whatsapp.Sample{Event: router.EndpointErrorRate, Flow: "1", WABA: waba, Threshold: new(10.0)})
	}
	var out strings.Builder
	if err := replayed(t, p, testRules(t, liveRules), 0).Print(&out, strings.TrimSpace); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n  Checkout (501) ", "\n  Checkout (502) "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
}

func TestReplayNamesApartWhatNoServiceHeard(t *testing.T) {
	p := newPast(t, testRules(t, liveRules))
	p.post(whatsapp.Sample{Event: router.EndpointErrorRate, Flow: "1", Threshold: new(10.0)}) // and nobody delivers
	r := replayed(t, p, testRules(t, liveRules), 0)
	if r.Pages != (Count{Now: 1, NotDelivered: 1}) || len(r.Differences) != 0 {
		t.Errorf("got %+v, %+v", r.Pages, r.Differences)
	}
	if r := replayed(t, p, testRules(t, strings.Replace(liveRules, ">=error", "critical", 1)), 0); r.Pages != (Count{}) ||
		len(r.Differences) != 0 {
		t.Errorf("got %+v, %+v: what was never told cannot be gone", r.Pages, r.Differences)
	}
}

// TestReplayLeavesTheDatabaseAlone holds that nothing is written, beside it or into it, whether or not a bridge runs.
func TestReplayLeavesTheDatabaseAlone(t *testing.T) {
	p := newPast(t, testRules(t, liveRules))
	aDay(p)
	files := func() map[string]string {
		found := map[string]string{}
		entries, err := os.ReadDir(filepath.Dir(p.path))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), filepath.Base(store.InboxPath(p.path))) { // a bridge that runs tidies it by itself
				continue
			}
			data, err := os.ReadFile(filepath.Join(filepath.Dir(p.path), e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(e.Name(), "-shm") { // marks of who reads
				found[e.Name()] = string(data)
			} else {
				found[e.Name()] = ""
			}
		}
		return found
	}
	for _, state := range []string{"running", "stopped"} {
		t.Run(state, func(t *testing.T) {
			if state == "stopped" {
				if err := p.store.Close(); err != nil {
					t.Fatal(err)
				}
			}
			before := files()
			replayed(t, p, testRules(t, liveRules), 0)
			if !cmp.Equal(before, files()) {
				t.Error("replay changed the files of the database")
			}
		})
	}
}

// TestReplayReadsPostgreSQL holds that the report is the one of SQLite, while a bridge runs and where nothing can be
// written.
func TestReplayReadsPostgreSQL(t *testing.T) {
	server := databases.Shared(t)
	dsn := server.Database(t)
	there, here := newPastIn(t, dsn, testRules(t, liveRules)), newPast(t, testRules(t, liveRules))
	aDay(there)
	aDay(here)
	candidate := testRules(t, strings.Replace(liveRules, ">=error", "critical", 1))
	read := func(db string) (r map[string]any) {
		t.Helper()
		p := *here
		p.path = db
		data, err := json.Marshal(replayed(t, &p, candidate, 30*24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	want := read(here.path)
	if pages := fmt.Sprint(want["pages"]); !strings.Contains(pages, "gone:1") {
		t.Errorf("SQLite: %s", pages)
	}
	if diff := cmp.Diff(want, read(dsn)); diff != "" {
		t.Errorf("-SQLite +PostgreSQL\n%s", diff)
	}
	server.Exec(t, dsn,
		"DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_read_only = on'; END $$")
	if diff := cmp.Diff(want, read(dsn)); diff != "" {
		t.Errorf("where nothing can be written: -SQLite +PostgreSQL\n%s", diff)
	}
	for _, c := range []struct{ want, db string }{
		{"it is no database that a bridge has written", server.Database(t)},
		{"is PostgreSQL running there", "postgres://user:hunter2@127.0.0.1:1/flowbridge"},
	} {
		h, err := store.OpenHistory(t.Context(), c.db)
		if err == nil {
			h.Close()
			t.Errorf("%s: it was opened", c.want)
		} else if got := err.Error(); !strings.Contains(got, c.want) || strings.Contains(got, "hunter2") {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// fillPast writes a journal of n events of so many flows over a year, as a busy account makes them.
func fillPast(tb testing.TB, p *past, n int) {
	seed := rand.New(rand.NewPCG(1, 2))
	names := []string{router.EndpointErrorRate, router.ClientErrorRate, router.EndpointLatency,
		router.EndpointAvailability}
	thresholds := map[string][]float64{names[0]: {5, 10, 50}, names[1]: {5, 10, 50}, names[2]: {1000, 5000, 7000},
		names[3]: {90}}
	step := 365 * 24 * time.Hour / time.Duration(n)
	active := map[string]bool{}
	var batch []router.Event
	for i := range n {
		p.now = p.now.Add(step)
		flow := fmt.Sprint(1 + seed.IntN(200))
		name := names[seed.IntN(len(names))]
		sample := whatsapp.Sample{Event: name, Flow: flow, Time: p.now,
			Threshold: new(thresholds[name][seed.IntN(len(thresholds[name]))])}
		key := fmt.Sprint(flow, name, *sample.Threshold)
		if active[key] && seed.IntN(3) > 0 {
			sample.AlertState = router.Deactivated
		}
		active[key] = sample.AlertState == ""
		if i%40 == 0 {
			sample = whatsapp.Sample{Event: router.FlowStatusChange, Flow: flow, Time: p.now, OldStatus: router.Draft,
				NewStatus: router.Published}
		}
		body, err := sample.Body()
		if err != nil {
			tb.Fatal(err)
		}
		events, _ := whatsapp.Decode(body, p.now, whatsapp.WantsAll)
		if batch = append(batch, events...); len(batch) >= 1000 || i == n-1 {
			p.happen(batch...)
			batch = batch[:0]
		}
	}
}

// BenchmarkReplay measures how fast a journal is folded; -replay.events says how long it is.
func BenchmarkReplay(b *testing.B) {
	p := newPast(b, testRules(b, liveRules))
	fillPast(b, p, *replayEvents)
	data, err := os.ReadFile("../../../rules.example.yaml")
	if err != nil {
		b.Fatal(err)
	}
	candidate, err := rules.Load("rules.example.yaml", data, rules.Config{StandIns: true})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		h, err := store.OpenHistory(context.Background(), p.path)
		if err != nil {
			b.Fatal(err)
		}
		report, err := Run(context.Background(), h, candidate, 0)
		if err != nil {
			b.Fatal(err)
		}
		h.Close()
		if report.Events != int64(*replayEvents) {
			b.Fatalf("folded %d events of %d", report.Events, *replayEvents)
		}
	}
	b.ReportMetric(float64(b.N)*float64(*replayEvents)/b.Elapsed().Seconds(), "events/s")
}

func TestReplayPrintsItsReport(t *testing.T) {
	p := newPast(t, testRules(t, liveRules))
	aDay(p)
	text := "version: 1\nflows:\n  \"1\": {name: Checkout}\nnotifiers:\n  chat: {kind: slack, channel: \"#chat\"}\n  " +
		"oncall: {kind: pagerduty, routing_key: \"${PD_KEY}\"}\n" +
		strings.Replace(liveRules, "    match: {event: ENDPOINT_LATENCY}\n    notify: [chat]",
			"    match: {event: ENDPOINT_LATENCY}\n    notify: [oncall]", 1)
	candidate, err := rules.Load("rules.yaml", []byte(text), rules.Config{StandIns: true})
	if err != nil {
		t.Fatal(err)
	}
	report := replayed(t, p, candidate, 30*24*time.Hour)
	report.Rules = "rules.yaml"
	var out strings.Builder
	if err := report.Print(&out, strings.TrimSpace); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/report.golden", out.String())

	data, err := json.Marshal(replayed(t, p, candidate, 0))
	if err != nil {
		t.Fatal(err)
	}
	var read Report
	if err := json.Unmarshal(data, &read); err != nil || read.Pages.Added != 1 || read.Messages.Gone != 1 {
		t.Errorf("%v\n%s", err, data)
	}
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got\n%s", path, diff)
	}
}
