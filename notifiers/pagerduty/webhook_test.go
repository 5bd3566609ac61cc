package pagerduty_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PagerDuty/go-pagerduty/webhookv3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

const (
	webhookSecret = "webhook-secret"
	incident43    = "flowbridge/501/78/ENDPOINT_ERROR_RATE"
)

// desk keeps what the way back writes, and knows some places. The real store is tried with it in cmd/flowbridge.
type desk struct {
	mu        sync.Mutex
	places    []router.Place // newest first
	unlinked  []router.Place
	journal   []router.Event
	postponed []router.Postponed
	fault     error // of Append and Postpone
	another   bool  // another process folds
}

func (d *desk) Append(_ context.Context, events []router.Event) (stored int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault != nil {
		return 0, d.fault
	}
	for _, e := range events {
		if !slices.ContainsFunc(d.journal, func(old router.Event) bool { return old.Digest == e.Digest }) {
			d.journal = append(d.journal, e)
			stored++
		}
	}
	return stored, nil
}

func (d *desk) find(ok func(router.Place) bool) (found []router.Place, err error) {
	for _, p := range d.places {
		if ok(p) {
			found = append(found, p)
		}
	}
	return found, nil
}

func (d *desk) Folds() bool { return !d.another }

func (d *desk) PlacesByLink(_ context.Context, _ router.Kind, id string) ([]router.Place, error) {
	return d.find(func(p router.Place) bool { return p.Link.ID == id })
}

func (d *desk) PlacesByKey(_ context.Context, _ router.Kind, keys ...string) ([]router.Place, error) {
	return d.find(func(p router.Place) bool { return slices.Contains(keys, p.Key) })
}

func (d *desk) Unlinked(context.Context, router.Kind, time.Time) ([]router.Place, error) {
	return d.unlinked, nil
}

func (d *desk) Postpone(_ context.Context, p router.Postponed) error {
	if d.fault == nil {
		p.ID = int64(len(d.postponed) + 1)
		d.postponed = append(d.postponed, p)
	}
	return d.fault
}

func (d *desk) Waits(_ context.Context, about string) (bool, error) {
	return slices.ContainsFunc(d.postponed, func(p router.Postponed) bool { return p.About == about }), nil
}

func (d *desk) Postponed(_ context.Context, now time.Time, limit int) ([]router.Postponed, error) {
	return slices.Clone(d.postponed), nil
}

func (d *desk) PostponeMore(_ context.Context, id int64, until time.Time) error {
	for i := range d.postponed {
		if d.postponed[i].ID == id {
			d.postponed[i].Attempts++
		}
	}
	return nil
}

func (d *desk) Settle(_ context.Context, id int64) error {
	d.postponed = slices.DeleteFunc(d.postponed, func(p router.Postponed) bool { return p.ID == id })
	return nil
}

// acts lists the journal: "ACKNOWLEDGE INC-42 oncall by ben".
func (d *desk) acts() (out []string) {
	for _, e := range d.journal {
		a := e.Act
		text := fmt.Sprintf("%s %s %s", e.Name, router.IncidentName(a.Incident), a.Notifier)
		if a.Actor != "" {
			text += " by " + a.Actor
		}
		if a.Link != nil {
			text += fmt.Sprintf(" %s #%d", a.Link.ID, a.Link.Number)
		}
		if a.Owner != "" {
			text += " with " + a.Owner
		}
		if a.Itself {
			text += " by itself"
		}
		out = append(out, strings.TrimSpace(text+" "+a.Text))
	}
	return out
}

func place42(link string, number int64) router.Place {
	p := router.Place{FlowID: router.FlowID{WABA: "501", Flow: "77"}, Incident: 42, State: router.IncidentOpen,
		OpenedAt: opened, Known: opened, Notifier: "oncall", Key: incident42, Credential: routingKey}
	if link != "" {
		p.Link = router.Link{Notifier: "oncall", Key: incident42, ID: link, Number: number,
			URL: "https://example.pagerduty.com/incidents/" + link}
	}
	return p
}

func place43(link string, number int64) router.Place {
	p := place42(link, number)
	p.Incident, p.Flow, p.Key = 43, "78", incident43
	if link != "" {
		p.Link.Key = incident43
	}
	return p
}

// hook is the body of a webhook: event_type, who, and fields of data beside or instead of the usual ones.
func hook(id, kind, who string, more map[string]any) string {
	data := map[string]any{
		"id": "Q7", "type": "incident", "number": 7, "status": "triggered",
		"html_url":     "https://example.pagerduty.com/incidents/Q7",
		"incident_key": incident42, "assignees": []any{map[string]any{"summary": "dora"}},
	}
	for key, value := range more {
		data[key] = value
	}
	agent := any(map[string]any{"type": "user_reference", "summary": who})
	switch who {
	case "":
		agent = nil
	case "auto-resolve":
		agent = map[string]any{"type": "service_reference", "summary": ""}
	case "us":
		agent = map[string]any{"type": "events_api_v2_inbound_integration_reference", "summary": "Events API V2"}
	}
	body, err := json.Marshal(map[string]any{"event": map[string]any{
		"id": id, "event_type": kind, "occurred_at": opened.Add(time.Hour).Format(time.RFC3339), "agent": agent, "data": data,
	}})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func newHooks(t *testing.T, d *desk, cfg pagerduty.WebhookConfig) http.Handler {
	t.Helper()
	if cfg.Secrets == nil {
		cfg.Secrets = []router.Secret{"old", webhookSecret}
	}
	cfg.Now = func() time.Time { return opened.Add(2 * time.Hour) }
	h, err := pagerduty.NewWebhooks(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func send(h http.Handler, body, signature string) int {
	r := httptest.NewRequest(http.MethodPost, "/webhooks/pagerduty", strings.NewReader(body))
	r.Header.Set("X-PagerDuty-Signature", signature)
	r.Header.Set("X-Webhook-Id", "hook-1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func sign(body string) string { return sandbox.SignWebhook(webhookSecret, []byte(body)) }

func TestWhatPeopleDoInPagerDutyBecomesActs(t *testing.T) {
	t.Parallel()
	merged := func(summary string) map[string]any {
		return map[string]any{"resolve_reason": map[string]any{"type": "merge_resolve_reason",
			"incident": map[string]any{"id": "Q5", "summary": summary,
				"html_url": "https://example.pagerduty.com/incidents/Q5"}}}
	}
	note := func(text string) map[string]any {
		return map[string]any{"id": "N1", "type": "incident_note", "number": nil, "incident_key": nil, "assignees": nil,
			"content": text,
			"incident": map[string]any{"id": "Q7", "summary": "[#7] Checkout: endpoint error rate",
				"html_url": "https://example.pagerduty.com/incidents/Q7"}}
	}
	linked := []router.Place{place42("Q7", 7)}
	acknowledged43 := place43("Q5", 5)
	acknowledged43.State, acknowledged43.AcknowledgedBy = router.IncidentAcknowledged, "ana"
	other := place42("", 0)
	other.Notifier = "second-line"
	older := place42("", 0)
	older.Incident, older.OpenedAt, older.Known = 41, opened.Add(-time.Hour), opened.Add(-time.Hour)
	later := place42("", 0)
	// the webhook says +60
	later.Incident, later.OpenedAt, later.Known = 44, opened.Add(90*time.Minute), opened.Add(90*time.Minute)
	before := place42("Q7", 7) // INC-40, which PagerDuty calls Q7; its key has passed on to INC-42
	before.Incident, before.OpenedAt, before.Known, before.State = 40, opened.Add(-time.Hour), opened.Add(-time.Hour),
		router.IncidentResolved
	endless := before
	endless.Open = true // its end was never told
	tests := []struct {
		name   string
		body   string
		places []router.Place
		want   []string
	}{
		{"of an incident whose key has passed on: what is known by its name belongs there",
			hook("1", "incident.resolved", "ben", nil),
			[]router.Place{place42("", 0), before}, []string{"RESOLVE INC-40 oncall by ben"}},
		{"acknowledged there, the same", hook("1", "incident.acknowledged", "ben", nil),
			[]router.Place{place42("", 0), before}, []string{"ACKNOWLEDGE INC-40 oncall by ben with dora"}},
		{"unless its end was never told, and the next trigger fell on it", hook("1", "incident.resolved", "ben", nil),
			[]router.Place{place42("", 0), endless}, []string{"LINK INC-42 oncall Q7 #7 with dora",
				"RESOLVE INC-40 oncall by ben", "RESOLVE INC-42 oncall by ben"}},
		{"resolved by PagerDuty itself", hook("1", "incident.resolved", "auto-resolve", nil), linked,
			[]string{"RESOLVE INC-42 oncall by itself"}},
		{"acknowledged by PagerDuty itself", hook("1", "incident.acknowledged", "", nil), linked,
			[]string{"ACKNOWLEDGE INC-42 oncall with dora by itself"}},
		{"acknowledged", hook("1", "incident.acknowledged", "ben", nil), linked,
			[]string{"ACKNOWLEDGE INC-42 oncall by ben with dora"}},
		{"our own acknowledgement", hook("1", "incident.acknowledged", "us", nil), linked, nil},
		{"our own resolve", hook("1", "incident.resolved", "us", nil), linked, nil},
		{"an acknowledgement that ran out", hook("1", "incident.unacknowledged", "", nil), linked,
			[]string{"UNACKNOWLEDGE INC-42 oncall by itself"}},
		{"resolved", hook("1", "incident.resolved", "ben", nil), linked, []string{"RESOLVE INC-42 oncall by ben"}},
		{"resolved by nobody", hook("1", "incident.resolved", "", nil), linked, []string{"RESOLVE INC-42 oncall by itself"}},
		{"reopened", hook("1", "incident.reopened", "ben", nil), linked, []string{"REOPEN INC-42 oncall by ben"}},
		{"reassigned while acknowledged", hook("1", "incident.reassigned", "ben", map[string]any{"status": "acknowledged"}),
			linked, []string{"ASSIGN INC-42 oncall by ben with dora"}},
		{"escalated, which pages anew", hook("1", "incident.escalated", "",
			map[string]any{"assignees": []any{map[string]any{"summary": "dora"}, map[string]any{"summary": "eve"}}}), linked,
			[]string{"ASSIGN INC-42 oncall with dora, eve by itself", "UNACKNOWLEDGE INC-42 oncall by itself"}},
		{"delegated to nobody known", hook("1", "incident.delegated", "ben", map[string]any{"status": "acknowledged",
			"assignees": []any{}}), linked, []string{"ASSIGN INC-42 oncall by ben"}},
		{"annotated", hook("1", "incident.annotated", "ben", note("found\nit")), linked,
			[]string{"NOTE INC-42 oncall by ben found it"}},
		{"our own note", hook("1", "incident.annotated", "ben", note("flowbridge: Acknowledged by ana")), linked, nil},
		{"a priority", hook("1", "incident.priority_updated", "ben",
			map[string]any{"priority": map[string]any{"summary": "P1"}}), linked,
			[]string{"NOTE INC-42 oncall by ben Priority is now P1"}},
		{"no priority", hook("1", "incident.priority_updated", "ben", map[string]any{"priority": nil}), linked,
			[]string{"NOTE INC-42 oncall by ben Priority removed"}},
		{"triggered tells the name", hook("1", "incident.triggered", "us", nil), []router.Place{place42("", 0)},
			[]string{"LINK INC-42 oncall Q7 #7 with dora"}},
		{"so does whatever comes first", hook("1", "incident.resolved", "ben", nil), []router.Place{place42("", 0)},
			[]string{"LINK INC-42 oncall Q7 #7 with dora", "RESOLVE INC-42 oncall by ben"}},
		{"made anew with the same key", hook("1", "incident.triggered", "us", nil), []router.Place{place42("Q6", 6)},
			[]string{"LINK INC-42 oncall Q7 #7 with dora"}},
		{"late news of what was made before", hook("1", "incident.resolved", "ben", nil), []router.Place{place42("Q8", 8)},
			nil},
		{"merged: the name changes, and nobody has resolved anything", hook("1", "incident.resolved", "ben",
			merged("[#5] Sign-up")), linked, []string{"LINK INC-42 oncall Q5 #5 with dora"}},
		{"merged into what is acknowledged", hook("1", "incident.resolved", "ben", merged("[#5] Sign-up")),
			append(slices.Clone(linked), acknowledged43),
			[]string{"LINK INC-42 oncall Q5 #5 with dora", "ACKNOWLEDGE INC-42 oncall by ana"}},
		{"two of ours in one of theirs", hook("1", "incident.resolved", "ben", nil), []router.Place{place43("Q7", 7),
			place42("Q7", 7)}, []string{"RESOLVE INC-42 oncall by ben", "RESOLVE INC-43 oncall by ben"}},
		{"one key for two notifiers: which of them, nobody knows", hook("1", "incident.acknowledged", "ben", nil),
			[]router.Place{other, place42("", 0)}, []string{"ACKNOWLEDGE INC-42  by ben with dora"}},
		{"one key for two notifiers, one of which has a name", hook("1", "incident.acknowledged", "ben", nil),
			[]router.Place{other, place42("Q7", 7)}, []string{"ACKNOWLEDGE INC-42 oncall by ben with dora"}},
		{"an incident that opened after it was said", hook("1", "incident.resolved", "ben", nil), []router.Place{later,
			older}, []string{"LINK INC-41 oncall Q7 #7 with dora", "RESOLVE INC-41 oncall by ben"}},
		{"somebody else's", hook("1", "incident.resolved", "ben", map[string]any{"incident_key": "theirs"}),
			[]router.Place{place42("", 0)}, nil},
		{"a ping", hook("1", "pagey.ping", "", nil), linked, nil},
		{"a type that we do not use", hook("1", "incident.responder.added", "ben", nil), linked, nil},
		{"an incident without an id", hook("1", "incident.resolved", "ben", map[string]any{"id": nil}), linked, nil},
		{"an id that is a path", hook("1", "incident.resolved", "ben", map[string]any{"id": "../users"}), linked, nil},
		{"an odd field", hook("1", "incident.resolved", "ben", map[string]any{"number": "seven", "assignees": 3}), linked,
			[]string{"RESOLVE INC-42 oncall by ben"}},
		{"no JSON", "hello", linked, nil},
		{"another JSON", "[]", linked, nil},
		{"nothing", "", linked, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := &desk{places: test.places}
			h := newHooks(t, d, pagerduty.WebhookConfig{})
			for range 2 { // a repeat changes nothing
				if code := send(h, test.body, sign(test.body)); code != http.StatusAccepted {
					t.Errorf("answered %d", code)
				}
			}
			if diff := cmp.Diff(test.want, d.acts()); diff != "" {
				t.Errorf("journal (-want +got):\n%s", diff)
			}
			for _, e := range d.journal {
				if e.WABA != "501" || e.Source != router.SourcePagerDuty || !e.At.Equal(opened.Add(time.Hour)) ||
					!e.Received.Equal(opened.Add(2*time.Hour)) {
					t.Errorf("event %+v", e)
				}
			}
		})
	}
}

// TestALinkSaysInWhichServiceItIs holds that the service is kept with the name, and stays what it was at first: an
// incident can be moved to another.
func TestALinkSaysInWhichServiceItIs(t *testing.T) {
	t.Parallel()
	known := place42("Q7", 7)
	known.Link.Service = "S0"
	for _, tt := range []struct {
		name    string
		service any
		place   router.Place
		want    string
	}{
		{"the first name", map[string]any{"id": "S1"}, place42("", 0), "S1"},
		{"a name from before services were kept", map[string]any{"id": "S1"}, place42("Q7", 7), "S1"},
		{"an odd one", map[string]any{"id": "../S1"}, place42("", 0), ""},
		{"none", nil, place42("", 0), ""},
		{"moved", map[string]any{"id": "S1"}, known, "unchanged"},
	} {
		d := &desk{places: []router.Place{tt.place}}
		body, got := hook("1", "incident.triggered", "us", map[string]any{"service": tt.service}), "unchanged"
		send(newHooks(t, d, pagerduty.WebhookConfig{}), body, sign(body))
		if len(d.journal) > 0 {
			got = d.journal[0].Act.Link.Service
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestAWebhookIsAnswered(t *testing.T) {
	t.Parallel()
	body := hook("1", "incident.resolved", "ben", nil)
	theirs := hook("1", "incident.resolved", "ben", map[string]any{"incident_key": nil})
	broken := errors.New("the disk is full")
	tests := []struct {
		name, body, signature string
		fault                 error
		lookups               bool
		want                  int
		postponed             int
	}{
		{name: "signed with the newer secret", body: body, signature: sign(body), want: 202},
		{name: "signed with the older one", body: body, signature: sandbox.SignWebhook("old", []byte(body)), want: 202},
		{name: "signed with both", body: body, signature: "v1=00, " + sign(body), want: 202},
		{name: "signed with no secret of ours", body: body, signature: sandbox.SignWebhook("guessed", []byte(body)),
			want: 401},
		{name: "signed with the empty secret", body: body, signature: sandbox.SignWebhook("", []byte(body)), want: 401},
		{name: "signed, of another body", body: body + " ", signature: sign(body), want: 401},
		{name: "not signed", body: body, want: 401},
		{name: "another version", body: body, signature: strings.Replace(sign(body), "v1", "v2", 1), want: 401},
		{name: "too large", body: strings.Repeat("x", 2<<20), want: 413},
		{name: "the journal cannot store", body: body, signature: sign(body), fault: broken, want: 503},
		{name: "too much waits for a commit", body: body, signature: sign(body), fault: router.ErrBusy, want: 503},
		{name: "unknown", body: theirs, signature: sign(theirs), want: 202},
		{name: "unknown, and can be looked up", body: theirs, signature: sign(theirs), lookups: true, want: 202,
			postponed: 1},
		{name: "unknown, and cannot be kept until then", body: theirs, signature: sign(theirs), lookups: true, fault: broken,
			want: 503},
		{name: "unknown, and too much waits to be looked up", body: theirs, signature: sign(theirs), lookups: true,
			fault: router.ErrBusy, want: 202},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := &desk{places: []router.Place{place42("", 0)}, fault: test.fault}
			var log bytes.Buffer
			h := newHooks(t, d, pagerduty.WebhookConfig{Lookups: test.lookups, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if got := send(h, test.body, test.signature); got != test.want {
				t.Errorf("answered %d, want %d", got, test.want)
			}
			if len(d.postponed) != test.postponed {
				t.Errorf("postponed: %+v", d.postponed)
			}
			if test.want != 202 && len(d.journal) > 0 {
				t.Errorf("journal: %v", d.acts())
			}
			sandbox.AssertNoSecret(t, []string{webhookSecret}, log.String())
		})
	}
}

// TestAnActOnAPageOfBeforeNamesNoPage is for what PagerDuty called a page before it was opened anew. Who reopens it
// takes its key.
func TestAnActOnAPageOfBeforeNamesNoPage(t *testing.T) {
	t.Parallel()
	before := place42("Q7", 7)
	before.Notifier, before.Key = "", ""
	for kind, want := range map[string]string{"incident.reopened": incident42, "incident.acknowledged": "",
		"incident.resolved": ""} {
		d := &desk{places: []router.Place{before}}
		body := hook("1", kind, "ben", nil)
		if code := send(newHooks(t, d, pagerduty.WebhookConfig{}), body, sign(body)); code != http.StatusAccepted ||
			len(d.journal) != 1 {
			t.Fatalf("%s: answered %d, journal %v", kind, code, d.acts())
		}
		if act := d.journal[0].Act; act.Incident != 42 || act.Notifier != "" || act.Key != want {
			t.Errorf("%s: %+v, want the key %q", kind, act, want)
		}
	}
}

func TestWhatFollowsSomethingPostponedIsPostponedToo(t *testing.T) {
	t.Parallel()
	d := &desk{}
	h := newHooks(t, d, pagerduty.WebhookConfig{Lookups: true})
	for i, kind := range []string{"incident.acknowledged", "incident.resolved"} {
		body := hook(fmt.Sprint(i), kind, "ben", nil)
		if code := send(h, body, sign(body)); code != http.StatusAccepted {
			t.Errorf("answered %d", code)
		}
		d.places = []router.Place{place42("", 0)} // it can be found from now on
	}
	if len(d.postponed) != 2 || len(d.journal) != 0 {
		t.Errorf("postponed %+v, journal %v", d.postponed, d.acts())
	}
}

func TestWhatWasPostponedWhileThereWasATokenHoldsNothingBackWithoutOne(t *testing.T) {
	t.Parallel()
	d := &desk{}
	body := hook("1", "incident.acknowledged", "ben", nil)
	send(newHooks(t, d, pagerduty.WebhookConfig{Lookups: true}), body, sign(body))
	if len(d.postponed) != 1 {
		t.Fatalf("postponed %+v", d.postponed)
	}
	d.places = []router.Place{place42("", 0)}
	body = hook("2", "incident.resolved", "ben", nil)
	if code := send(newHooks(t, d, pagerduty.WebhookConfig{}), body, sign(body)); code != http.StatusAccepted ||
		len(d.journal) == 0 {
		t.Errorf("answered %d, journal %v", code, d.acts())
	}
}

// TestAnEmptySecretSignsNothing is for one that was emptied while the bridge runs: everybody could sign with that.
func TestAnEmptySecretSignsNothing(t *testing.T) {
	t.Parallel()
	body := hook("1", "incident.acknowledged", "ben", nil)
	for secret, want := range map[router.Secret]int{"": http.StatusUnauthorized, webhookSecret: http.StatusAccepted} {
		h := newHooks(t, &desk{}, pagerduty.WebhookConfig{SecretsNow: func() []router.Secret {
			return []router.Secret{"", webhookSecret}
		}})
		if got := send(h, body, sandbox.SignWebhook(secret, []byte(body))); got != want {
			t.Errorf("signed with %q: answered %d, want %d", secret.Reveal(), got, want)
		}
	}
}

func TestEmptySecretsAreRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][]router.Secret{nil, {""}, {"a", " "}} {
		if _, err := pagerduty.NewWebhooks(pagerduty.WebhookConfig{Secrets: secrets}, &desk{}); err == nil {
			t.Errorf("%q are taken for secrets", secrets)
		}
	}
}

// TestSignaturesAreJudgedAsTheLibraryDoes holds wherever the library is right: it knows one secret, takes an empty one,
// and does not trim.
func TestSignaturesAreJudgedAsTheLibraryDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "body")
		secret := rapid.StringN(1, 10, 20).Draw(t, "secret")
		good := sandbox.SignWebhook(router.Secret(secret), body)
		header := strings.Join(rapid.SliceOfN(rapid.OneOf(
			rapid.Just(good), rapid.Just(sandbox.SignWebhook("other", body)), rapid.Just(strings.ToUpper(good)),
			rapid.Just(good[:20]),
			rapid.Just("v0="+good[3:]), rapid.StringMatching(`v1=[0-9a-f]{0,64}`), rapid.String(),
		), 0, 4).Draw(t, "signatures"), ",")
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header["X-Pagerduty-Signature"] = []string{header}
		want := webhookv3.VerifySignature(r, secret) == nil
		got := pagerduty.Signed([]router.Secret{router.Secret(secret)}, []string{header}, body)
		if got != want && !strings.ContainsAny(header, " \t\n\v\f\r\u0085\u00a0") {
			t.Fatalf("header %q: got %v, the library says %v", header, got, want)
		}
	})
}

func FuzzWebhook(f *testing.F) {
	f.Add(hook("1", "incident.acknowledged", "ben", nil))
	f.Add(hook("1", "incident.annotated", "", map[string]any{"incident": map[string]any{"id": "Q7"}, "content": "x"}))
	f.Add(
		`{"event":{"event_type":"incident.resolved","data":{"id":"Q7","resolve_reason":{"type":"merge_resolve_reason","incident":{"id":"Q5"}}}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		d := &desk{places: []router.Place{place42("Q7", 7)}}
		h := newHooks(t, d, pagerduty.WebhookConfig{Lookups: true})
		if code := send(h, body, sign(body)); code != http.StatusAccepted {
			t.Errorf("answered %d", code)
		}
		for _, e := range d.journal {
			if e.Digest == "" || e.Act == nil || e.Act.Incident != 42 || e.At.After(e.Received) ||
				strings.ContainsAny(e.Act.Text+e.Act.Actor+e.Act.Owner, "\n\r\x00") {
				t.Errorf("event %+v", e)
			}
		}
	})
}
