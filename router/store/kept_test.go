package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// keptSuite is what every database must do with what is kept for those who look back.
func keptSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	t.Run("attempts", func(t *testing.T) { attemptsSuite(t, open) })
	t.Run("rules", func(t *testing.T) { rulesSuite(t, open) })
	t.Run("pauses of Meta's", func(t *testing.T) { pausesSuite(t, open) })
}

// tried is an attempt as notifiers leave it.
func tried(q *queue, request string) *router.Attempt {
	return &router.Attempt{
		Revision: 1, At: q.now, Took: 1500 * time.Microsecond, Result: router.AttemptDelivered, Status: 200,
		Calls: []router.Call{
			{Method: "POST", URL: "https://slack.com/api/chat.postMessage", Request: request, Status: 200,
				Answer: `{"ok":true,"ts":"1.2"}`, Took: time.Millisecond},
			{Method: "GET", URL: "https://slack.com/api/chat.getPermalink", Error: "cut off", Took: 2 * time.Millisecond},
		},
	}
}

func (q *queue) attempts(delivery int64) []router.Attempt {
	q.t.Helper()
	found, err := q.Attempts(context.Background(), delivery)
	check(q.t, err)
	return found
}

// finish ends the next delivery to a notifier with an attempt.
func (q *queue) finish(notifier, request string, change func(*router.Result)) router.Result {
	q.t.Helper()
	r := told(q.claim(notifier), router.Receipt{Own: made("ts", "1"), Open: true})
	r.Attempt = tried(q, request)
	if change != nil {
		change(&r)
	}
	check(q.t, q.Finish(context.Background(), r))
	return r
}

func attemptsSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()
	const card = `{"blocks":[{"type":"header","text":"Endpoint error rate over 10 % ✓\n"}]}`

	t.Run("they come back word for word, once however often they are finished", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error))
		r := q.finish("chat", card, func(r *router.Result) {
			r.State, r.NextAt, r.Error = router.DeliveryWaiting, q.now.Add(time.Second), "Slack did not answer"
			r.Attempt.Result, r.Attempt.Error, r.Attempt.More = router.AttemptRetried, r.Error, 3
		})
		check(t, q.Finish(ctx, r))
		q.pass(time.Minute)
		second := q.finish("chat", "again", nil)
		want := []router.Attempt{*r.Attempt, *second.Attempt}
		for i := range want {
			want[i].Delivery, want[i].N = r.Delivery, int64(i+1)
		}
		diff(t, q.attempts(r.Delivery), want)
		diff(t, q.attempts(99), []router.Attempt(nil))
		d, err := q.Delivery(ctx, r.Delivery)
		if check(t, err); d.State != router.DeliveryDelivered || d.Notifier != "chat" {
			t.Errorf("got %+v", d)
		}
		if _, err := q.Delivery(ctx, 99); err == nil {
			t.Error("there is a delivery 99")
		}
	})

	t.Run("one whose claim is lost is not kept", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error))
		r := told(q.claim("chat"), router.Receipt{})
		r.Attempt, r.Claim = tried(q, card), "another"
		if err := q.Finish(ctx, r); err == nil {
			t.Error("it was finished")
		}
		diff(t, q.attempts(r.Delivery), []router.Attempt(nil))
	})

	t.Run("none is kept where none is to be", func(t *testing.T) {
		q := &queue{t: t, now: noon}
		q.opened = open(t, store.Config{Now: func() time.Time { return q.now }, KeepAttempts: -1})
		q.owe(chat(1, true, router.Error))
		r := q.finish("chat", card, nil)
		diff(t, q.attempts(r.Delivery), []router.Attempt(nil))
	})

	t.Run("of what is tried for days the first and the newest are kept", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error))
		var id int64
		for range 130 {
			id = q.finish("chat", card, func(r *router.Result) {
				r.State, r.NextAt, r.Attempt.Result = router.DeliveryWaiting, q.now.Add(time.Second), router.AttemptRetried
			}).Delivery
			q.pass(time.Minute)
		}
		var got []int64
		for _, a := range q.attempts(id) {
			got = append(got, a.N)
		}
		if len(got) != 100 || got[9] != 10 || got[10] != 41 || got[99] != 130 {
			t.Errorf("kept: %v", got)
		}
	})

	t.Run("a digest is kept for each of its incidents, its message once", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(router.StormSize + 1) {
			q.owe(chat(n+1, true, router.Error))
		}
		r := q.finish("chat", card, nil)
		if r.Digest == nil {
			t.Fatal("it is no digest")
		}
		for _, p := range r.Digest.Parts {
			found := q.attempts(p.Delivery)
			if len(found) != 1 || found[0].N != 1 || len(found[0].Calls) != 2 || found[0].Calls[0].Request != card {
				t.Errorf("of delivery %d: %+v", p.Delivery, found)
			}
			if with := found[0].With; (with == 0) != (p.Delivery == r.Delivery) {
				t.Errorf("of delivery %d: told with %d", p.Delivery, with)
			}
		}
	})

	t.Run("old ones are removed, and those of what is removed", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(3) {
			q.owe(chat(n+1, true, router.Error))
		}
		old := q.finish("chat", card, nil)
		q.pass(20 * 24 * time.Hour)
		kept := q.finish("chat", card, nil)
		q.pass(11 * 24 * time.Hour)
		swept, err := q.Sweep(ctx, q.now, 0, 0)
		if check(t, err); swept.Attempts != 1 || len(q.attempts(old.Delivery)) != 0 || len(q.attempts(kept.Delivery)) != 1 {
			t.Errorf("removed %d attempts: %v and %v", swept.Attempts, q.attempts(old.Delivery), q.attempts(kept.Delivery))
		}
		q.owe(chat(2, false, router.Error)) // and the highest number stays in any case
		for n, _ := q.try("chat"); n != nil; n, _ = q.try("chat") {
			check(t, q.Finish(ctx, told(n, router.Receipt{Own: made("ts", "1")})))
		}
		_, err = q.Sweep(ctx, q.now.Add(48*time.Hour), 0, 24*time.Hour)
		if check(t, err); len(q.attempts(kept.Delivery)) != 0 {
			t.Errorf("the incident is gone, and %d attempts stay", len(q.attempts(kept.Delivery)))
		}
	})

	t.Run("who is forgotten is in none of them", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(3) {
			q.owe(chat(n+1, true, router.Error))
		}
		var ids []int64
		for _, request := range []string{`{"text":"called from +1 555\u00a0010 0200"}`,
			`{"text":"{\"phone\": \"\\u002b15550100200\"}"}`, `{"text":"15550100299"}`} {
			ids = append(ids, q.finish("chat", request, func(r *router.Result) { r.Attempt.Error = "of 15550100200" }).Delivery)
		}
		p, err := router.NewPerson("+1 555 010 0200", "")
		check(t, err)
		found, err := q.Forget(ctx, p)
		if check(t, err); found.Attempts != 3 {
			t.Errorf("found: %+v", found.ForgottenCount)
		}
		for i, id := range ids {
			text := fmt.Sprintf("%+v", q.attempts(id))
			if strings.Contains(text, "0200") || strings.Contains(text, "0299") != (i == 2) {
				t.Errorf("kept of attempt %d: %s", i, text)
			}
		}
		if again, err := q.Forget(ctx, p); err != nil || again.Any() {
			t.Errorf("found again: %+v, %v", again.ForgottenCount, err)
		}
	})
}

func rulesSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()
	version := func(digest string, at time.Time) router.RulesVersion {
		return router.RulesVersion{Digest: digest, First: at, Loaded: at, By: router.RulesAtStart,
			Files: []router.RulesFile{{Name: "rules.yaml", Text: "version: 1\n# " + digest + " •\n"}}}
	}

	t.Run("versions come back, that which was loaded last first", func(t *testing.T) {
		s := open(t, store.Config{})
		a, b := version("a", noon), version("b", noon.Add(time.Hour))
		check(t, s.KeepRulesVersion(ctx, a))
		check(t, s.KeepRulesVersion(ctx, b))
		a.Loaded, a.By = noon.Add(2*time.Hour), router.RulesReloaded
		check(t, s.KeepRulesVersion(ctx, a))
		got, err := s.RulesVersion(ctx, "a")
		check(t, err)
		diff(t, got, a)
		if _, err := s.RulesVersion(ctx, "c"); !errors.Is(err, router.ErrNotFound) {
			t.Errorf("of none: %v", err)
		}
		list, err := s.RulesVersions(ctx, 0)
		check(t, err)
		a.Files, b.Files = nil, nil
		diff(t, list, []router.RulesVersion{a, b})
		list, err = s.RulesVersions(ctx, 1)
		check(t, err)
		diff(t, list, []router.RulesVersion{a})
	})

	t.Run("old ones are removed unless an incident names them, and never the newest", func(t *testing.T) {
		s := open(t, store.Config{})
		for i, digest := range []string{"gone", "named", "young", "newest"} {
			check(t, s.KeepRulesVersion(ctx, version(digest, noon.Add(time.Duration(i)*time.Hour))))
		}
		check(t, s.KeepRulesVersion(ctx, version("young", noon.Add(router.KeepRules))))
		check(t, s.KeepRulesVersion(ctx, version("newest", noon.Add(router.KeepRules).Add(time.Hour))))
		inc := incident(1)
		inc.RulesVersion = "named"
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{inc}}))
		inc.RulesVersion, inc.Revision = "another", 2 // those of its opening stay
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{inc}}))
		d, err := s.Incident(ctx, 1)
		if check(t, err); d.RulesVersion != "named" {
			t.Errorf("the incident names %q", d.RulesVersion)
		}
		digests := func(at time.Time) (left []string) {
			_, err := s.Sweep(ctx, at, 0, 0)
			check(t, err)
			list, err := s.RulesVersions(ctx, 0)
			check(t, err)
			for _, v := range list {
				left = append(left, v.Digest)
			}
			return left
		}
		diff(t, digests(noon.Add(router.KeepRules).Add(3*time.Hour)), []string{"newest", "young", "named"})
		diff(t, digests(noon.Add(10*router.KeepRules)), []string{"newest", "named"})
	})

	t.Run("what rules did is added up by day, and removed when it is old", func(t *testing.T) {
		s := open(t, store.Config{})
		day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
		hits := func(d time.Time, rule string, hits, pages int64, last time.Time) router.RuleHits {
			return router.RuleHits{Day: d, Rule: rule, Hits: hits, Pages: pages, Last: last}
		}
		check(t, s.Commit(ctx, router.Batch{Hits: []router.RuleHits{hits(day, "a", 2, 1, day.Add(time.Hour)),
			hits(day, "b", 1, 0, day)}}))
		check(t, s.Commit(ctx, router.Batch{Hits: []router.RuleHits{hits(day, "a", 1, 0, day.Add(2*time.Hour))}}))
		check(t, s.Commit(ctx, router.Batch{Hits: []router.RuleHits{hits(day, "a", 0, 1, time.Time{}),
			hits(day.AddDate(0, 0, 1), "a", 1, 0, day.AddDate(0, 0, 1))}}))
		got, err := s.RuleHits(ctx, day.Add(5*time.Hour))
		check(t, err)
		diff(t, got, []router.RuleHits{hits(day, "a", 3, 2, day.Add(2*time.Hour)), hits(day, "b", 1, 0, day),
			hits(day.AddDate(0, 0, 1), "a", 1, 0, day.AddDate(0, 0, 1))})
		swept, err := s.Sweep(ctx, day.Add(router.KeepRules).Add(time.Hour), 0, 0)
		if check(t, err); swept.Hits != 2 {
			t.Errorf("removed %d", swept.Hits)
		}
	})

	t.Run("what was seen of a side is the newest", func(t *testing.T) {
		s := open(t, store.Config{})
		post := router.Sight{What: router.SightPost, At: noon, Detail: "from 192.0.2.1"}
		check(t, s.KeepSights(ctx, []router.Sight{post, {What: router.SightHandshake, At: noon}}))
		check(t, s.KeepSights(ctx, []router.Sight{{What: router.SightPost, At: noon.Add(-time.Minute), Detail: "older"}}))
		got, err := s.Seen(ctx)
		check(t, err)
		diff(t, got, []router.Sight{{What: router.SightHandshake, At: noon}, post})
	})
}

func pausesSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()
	s := open(t, store.Config{})
	if got, first, err := s.Pauses(ctx, noon, time.Hour); got != nil || !first.IsZero() || err != nil {
		t.Fatalf("of an empty journal: %v, %s, %v", got, first, err)
	}
	add := func(source router.Source, flow string, minutes ...int) {
		t.Helper()
		for _, minute := range minutes {
			at := noon.Add(time.Duration(minute) * time.Minute)
			e := router.Event{Digest: fmt.Sprint(source, flow, minute), Source: source, Name: "X", Flow: flow, Received: at,
				At: at}
			if _, err := s.Append(ctx, []router.Event{e}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(router.SourceMeta, "1", 0, 10, 59, 61)
	add(router.SourceFlowbridge, "", 100)
	add(router.SourceMeta, "0001", 110)
	add(router.SourceMeta, "1", 121, 122, 130)
	add(router.SourceConsole, "1", 200)
	add(router.SourceMeta, "", 430, 489)
	add(router.SourceFlowbridge, "", 600)
	if _, err := s.Events(ctx, "", 1); err != nil { // what is stored is in the journal by then
		t.Fatal(err)
	}
	for from, want := range map[int]string{0: "[1h0m0s 5h0m0s] 0", -1000: "[1h0m0s 5h0m0s] 0", 60: "[1h0m0s 5h0m0s] 61",
		125: "[5h0m0s] 130", 460: "[] 489", 500: "[] none"} {
		got, first, err := s.Pauses(ctx, noon.Add(time.Duration(from)*time.Minute), time.Hour)
		at := "none"
		if !first.IsZero() {
			at = fmt.Sprint(first.Sub(noon).Minutes())
		}
		if text := fmt.Sprint(got, " ", at); err != nil || text != want {
			t.Errorf("from minute %d: %s, want %s; %v", from, text, want, err)
		}
	}
}
