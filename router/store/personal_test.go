package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

const (
	phone = "15550100200"
	spelt = "+1 (555) 010-0200"
	email = "customer.of.the.test@example.com"
)

// filled is a form that a person filled.
func filled(digest, from string) router.Event {
	e := event(digest)
	e.Source, e.Name, e.Flow, e.Field = router.SourceMeta, router.FlowResponse, "", router.MessagesField
	e.Value = fmt.Appendf(nil, `{"message_id":"wamid.%s","from":%q,"response":{"email":%q,"topic":"delivery"}}`, digest,
		from, email)
	return e
}

// folded is what the router makes of an event of which a rule shows some fields.
func folded(seq int64, e router.Event, fields ...router.Field) router.Outcome {
	return router.Outcome{Seq: seq, Kept: e.Kept(&router.Decision{Fields: fields}), People: e.People()}
}

// personalSuite is the part of the suite about what is kept of people.
func personalSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()

	t.Run("what a rule showed is found by whose form it was, also when the event is gone", func(t *testing.T) {
		s := open(t, store.Config{})
		e, topic := filled("e1", phone), router.Field{Name: "topic", Value: "delivery"}
		appendAll(t, s.Store, e)
		check(t, s.Commit(ctx, router.Batch{Outcomes: []router.Outcome{folded(1, e, topic)},
			Notices: []router.Notice{{Event: 1, Title: "t", Fields: []router.Field{topic}}}}))
		swept, err := s.Sweep(ctx, noon.Add(100*24*time.Hour), 90*24*time.Hour, 0)
		check(t, err)
		found := forget(t, s.Store, phone, "")
		if swept.Events != 1 || found.Notices != 1 {
			t.Errorf("swept %+v, then forgot %+v", swept, found.ForgottenCount)
		}
	})

	t.Run("a number is found however JSON writes its digits", func(t *testing.T) {
		s := open(t, store.Config{})
		e := event("e1")
		e.Value = []byte(`{"display_phone_number":"\u0031` + phone[1:] + `"}`)
		appendAll(t, s.Store, e)
		check(t, s.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 1}}}))
		found := forget(t, s.Store, phone, "")
		if got, err := s.Event(ctx, 1); found.Events != 1 || err != nil || bytes.Contains(got.Value, []byte(phone[1:])) {
			t.Errorf("forgot %+v; the event says %s, %v", found.ForgottenCount, got.Value, err)
		}
	})

	t.Run("of a form that was folded only what a rule shows stays, and it stays a repeat", func(t *testing.T) {
		s := open(t, store.Config{})
		e := filled("e1", phone)
		appendAll(t, s.Store, e)
		check(t, s.Commit(ctx, router.Batch{
			Outcomes: []router.Outcome{folded(1, e, router.Field{Name: "topic", Value: "delivery"})}}))
		got, err := s.Event(ctx, 1)
		check(t, err)
		if string(got.Value) != `{"topic":"delivery"}` || got.Reduced != router.ReducedPersonal ||
			got.Name != router.FlowResponse || got.Digest != "e1" {
			t.Errorf("kept %+v", got)
		}
		if n, err := s.Append(ctx, []router.Event{e}); n != 0 || err != nil {
			t.Errorf("its repeat: %d stored, %v", n, err)
		}
	})

	t.Run("a post that could not be read is kept for seven days", func(t *testing.T) {
		s := open(t, store.Config{})
		e := event("e1")
		e.Source, e.Unreadable, e.Raw, e.Received = router.SourceMeta, "the post is no JSON",
			[]byte("my number is "+phone), noon
		appendAll(t, s.Store, e)
		swept, err := s.Sweep(ctx, noon.Add(7*day-time.Minute), 0, 0)
		check(t, err)
		diff(t, swept, store.Swept{})
		for _, want := range []store.Swept{{Reduced: 1}, {}} {
			swept, err := s.Sweep(ctx, noon.Add(7*day+time.Minute), 0, 0)
			check(t, err)
			diff(t, swept, want)
		}
		got, err := s.Events(ctx, router.EventUnreadable, 0)
		check(t, err)
		if len(got) != 1 || got[0].Unreadable != e.Unreadable || got[0].Raw != nil || got[0].Reduced != router.ReducedUnread {
			t.Errorf("kept %+v", got)
		}
	})

	t.Run("of an event that is older than events are kept nothing but the digest stays", func(t *testing.T) {
		s := open(t, store.Config{})
		for n, digest := range []string{"old", "waits", "young"} {
			e := event(digest)
			if e.Message = phone; n == 2 {
				e.Received = noon.Add(time.Hour)
			}
			appendAll(t, s.Store, e)
		}
		check(t, s.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 1, Text: phone}, {Seq: 3}}}))
		for _, want := range []store.Swept{{Reduced: 1}, {}} {
			swept, err := s.Sweep(ctx, noon.Add(90*time.Minute), time.Hour, 0)
			check(t, err)
			diff(t, swept, want)
		}
		got, err := s.Events(ctx, "", 0)
		check(t, err)
		if len(got) != 2 || got[0].Seq != 3 || got[1].Seq != 2 || got[1].Message != phone {
			t.Errorf("shown: %+v", got)
		}
		if old, err := s.Event(ctx, 1); err != nil || old.Reduced != router.ReducedOld || old.Message != "" ||
			old.Outcome != "" || old.Name != "" {
			t.Errorf("kept of the old one: %+v, %v", old, err)
		}
		if n, err := s.Append(ctx, []router.Event{event("old")}); n != 0 || err != nil {
			t.Errorf("its repeat: %d stored, %v", n, err)
		}
		swept, err := s.Sweep(ctx, noon.Add(9*day), time.Hour, 0)
		check(t, err)
		diff(t, swept, store.Swept{Events: 2}) // the digests go after the eighth day
	})

	t.Run("what an older flowbridge folded is reduced once", func(t *testing.T) {
		s := open(t, store.Config{})
		form, dropped, chat, alert := filled("e1", phone), event("e2"), event("e3"), event("e4")
		dropped.Message, alert.Message, alert.Value = phone, "stays", nil
		dropped.Source, chat.Source, alert.Source = router.SourceMeta, router.SourceMeta, router.SourceMeta
		chat.Name, chat.Value = "HISTORY", []byte(`{"text":"my words"}`)
		appendAll(t, s.Store, form)
		appendAll(t, s.Store, dropped)
		appendAll(t, s.Store, chat)
		appendAll(t, s.Store, alert)
		check(t, s.Commit(ctx, router.Batch{
			Outcomes: []router.Outcome{{Seq: 1}, {Seq: 2, Text: `dropped by rule "r"`}, {Seq: 3}, {Seq: 4}},
			Notices: []router.Notice{{Event: 1, Name: router.FlowResponse,
				Fields: []router.Field{{Name: "topic", Value: "delivery"}}}},
		}))
		check(t, s.PretendOlder(ctx, 4))
		for _, want := range []store.Swept{{Reduced: 3}, {}} {
			swept, err := s.Sweep(ctx, noon, 0, 0)
			check(t, err)
			diff(t, swept, want)
		}
		var said []string
		for seq := range int64(4) {
			e, err := s.Event(ctx, seq+1)
			check(t, err)
			said = append(said, string(e.Value)+e.Message)
		}
		diff(t, said, []string{`{"topic":"delivery"}`, "", "", "stays"})
		if found := forget(t, s.Store, phone, ""); found.Events != 1 || found.Notices != 1 {
			t.Errorf("of the form: %+v", found)
		}
	})

	t.Run("a person is forgotten wherever they are, and a repeat stays a repeat", func(t *testing.T) { forgets(t, open) })
}

func forget(t *testing.T, s *store.Store, phone, user string) router.Found {
	t.Helper()
	p, err := router.NewPerson(phone, user)
	check(t, err)
	found, err := s.Forget(context.Background(), p)
	check(t, err)
	return found
}

// forgets places a person wherever one may stand, and another one beside.
func forgets(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()
	s := open(t, store.Config{})
	const other = "15550100201"
	mine, theirs, waits := filled("e1", phone), filled("e2", other), filled("e5", spelt)
	unread, act := event("e3"), event("e4")
	unread.Source, unread.Unreadable, unread.Raw = router.SourceMeta, "no JSON", []byte(`{"from":"`+phone+`"`)
	act.Source, act.Name, act.Act = router.SourceSlack, router.Acknowledge, &router.Act{Incident: 1, Actor: "ana " + spelt}
	for _, e := range []router.Event{mine, theirs, unread, act} {
		appendAll(t, s.Store, e)
	}
	inc := incident(1)
	inc.AcknowledgedBy, inc.Owner, inc.Fields = "ana "+spelt, "00"+phone, []router.Field{{Name: "n", Value: phone}}
	topic := router.Field{Name: "topic", Value: "delivery"} // says nothing of whose form it is
	check(t, s.Commit(ctx, router.Batch{
		Outcomes: []router.Outcome{folded(1, mine, topic), folded(2, theirs, topic),
			{Seq: 4, Text: "acknowledged by " + spelt}},
		Incidents: []router.Incident{inc, incident(2)},
		Entries: []router.Entry{{Incident: 1, N: 1, Text: "Acknowledged by ana " + spelt},
			{Incident: 1, N: 2, Text: "by " + other}},
		Notices: []router.Notice{{Event: 1, Title: "t", Fields: []router.Field{topic}},
			{Event: 2, Title: "t", Fields: []router.Field{topic}}},
		Owed:     []router.Owed{{Notice: 1, Key: "n1", Target: router.Target{Notifier: "chat"}}},
		Silences: []router.Silence{{ID: "s1", Since: noon, By: phone}, {ID: "s2", Since: noon, By: "ben"}},
	}))
	check(t, s.Audit(ctx, router.AuditEntry{At: noon, Who: "ana " + spelt, What: "retry delivery 1"},
		router.AuditEntry{At: noon, Who: "ben", What: "reload"}))
	check(t, s.Postpone(ctx, router.Postponed{About: "P1", Digest: "p1", Received: noon, Events: []router.Event{act}}))
	r := result(claim(t, s.Store, "chat", noon), router.DeliveryDelivered)
	r.Receipt = router.Receipt{Own: made("ts", "1.2"), Link: "https://chat.example.com/m"}
	check(t, s.Finish(ctx, r))
	appendAll(t, s.Store, waits) // nobody folds it

	found := forget(t, s.Store, spelt, "")
	diff(t, found.ForgottenCount, router.ForgottenCount{Events: 4, Notices: 1, Incidents: 1, Timeline: 1, Silences: 1,
		Postponed: 1, Audit: 1})
	diff(t, found.Told, []router.Told{{Notifier: "chat", Event: 1, Link: r.Receipt.Link}})
	check(t, s.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 5, Text: "a form was filled"}}}))
	again := forget(t, s.Store, phone, "") // and waits for no fold now
	diff(t, again, router.Found{})

	events, err := s.Events(ctx, "", 0)
	check(t, err)
	for _, e := range events {
		text, err := json.Marshal(e.Event)
		check(t, err)
		if bytes.Contains(text, []byte(phone)) || strings.Contains(e.Outcome, "0200") ||
			bytes.Contains(e.Raw, []byte(phone)) {
			t.Errorf("event %d still says %s, %s", e.Seq, text, e.Raw)
		}
		if keeps := bytes.Contains(text, []byte("delivery")); keeps != (e.Seq == 2) {
			t.Errorf("event %d keeps what a form said: %v", e.Seq, keeps)
		}
	}
	for _, e := range []router.Event{mine, theirs, unread, act, waits} {
		if n, err := s.Append(ctx, []router.Event{e}); n != 0 || err != nil {
			t.Errorf("a repeat of %s: %d stored, %v", e.Digest, n, err)
		}
	}
	detail, err := s.Incident(ctx, 1)
	check(t, err)
	if detail.AcknowledgedBy != router.Forgotten || detail.Owner != router.Forgotten || detail.Fields != nil ||
		detail.Timeline[0].Text != router.Forgotten || detail.Timeline[1].Text != "by "+other || detail.State != inc.State {
		t.Errorf("the incident: %+v", detail)
	}
	audit, err := s.AuditEntries(ctx, 0, 0)
	check(t, err)
	if audit[1].Who != router.Forgotten || audit[1].What != "retry delivery 1" || audit[0].Who != "ben" {
		t.Errorf("audit: %+v", audit)
	}
	silences, err := s.AllSilences(ctx, 0)
	check(t, err)
	if silences[0].By != router.Forgotten || silences[1].By != "ben" {
		t.Errorf("silences: %+v", silences)
	}
}

// TestASilenceThatEndsWhileAPersonIsForgottenStaysEnded has another process end it between the look at it and the
// write.
func TestASilenceThatEndsWhileAPersonIsForgottenStaysEnded(t *testing.T) {
	t.Parallel()
	ctx, server := context.Background(), storetest.Shared(t)
	link, dsn := server.Link(t), migrated(t, server)
	s, other := peer(t, link.DSN(dsn)), peer(t, dsn)
	look, err := sql.Open("pgx", dsn)
	check(t, err)
	defer look.Close()
	silence := router.Silence{ID: "s1", Since: noon, By: phone}
	check(t, other.Commit(ctx, router.Batch{Silences: []router.Silence{silence}}))
	p, err := router.NewPerson(phone, "")
	check(t, err)
	cut, forgotten, ended := link.CutAt("INSERT INTO silences"), make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.Forget(ctx, p)
		forgotten <- err
	}()
	<-cut
	silence.Ended = noon.Add(time.Minute)
	go func() { ended <- other.Commit(ctx, router.Batch{Silences: []router.Silence{silence}}) }()
	eventually(t, "it has ended, or waits for its row", func() bool {
		var waiting int
		check(t, look.QueryRow(`SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting))
		return waiting > 0 || len(ended) > 0
	})
	link.Mend()
	check(t, <-ended)
	check(t, <-forgotten)
	if all, err := other.AllSilences(ctx, 1); err != nil || len(all) != 1 || all[0].Ended.IsZero() {
		t.Errorf("it holds again: %+v, %v", all, err)
	}
}

// inFiles says in which of the files of a SQLite database a text can be read.
func inFiles(t *testing.T, path, text string) (files []string) {
	t.Helper()
	inbox := store.InboxPath(path)
	for _, name := range []string{path, path + "-wal", path + "-journal", inbox, inbox + "-wal", inbox + "-journal"} {
		data, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(text)) {
			files = append(files, filepath.Base(name))
		}
	}
	return files
}

func TestWhatIsRemovedCannotBeReadInTheFile(t *testing.T) {
	t.Parallel()
	storetest.Long(t)
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := store.Open(ctx, store.Config{DSN: path, Now: func() time.Time { return noon }})
	check(t, err)
	defer s.Close()
	gone := func(what, text string) {
		t.Helper()
		deadline := time.Now().Add(time.Minute)
		for {
			files := inFiles(t, path, text)
			if len(files) == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: it can still be read in %v", what, files)
			}
			router.Sleep(ctx, 20*time.Millisecond)
		}
	}
	const many = 300
	batch := router.Batch{}
	for n := range many { // some take pages of their own
		e := filled(fmt.Sprint("form", n), phone)
		e.Value = fmt.Appendf(nil, `{"from":%q,"response":{"email":%q,"long":%q}}`, phone, email, strings.Repeat("x", n*40))
		appendAll(t, s, e)
		batch.Outcomes = append(batch.Outcomes, folded(int64(n+1), e, router.Field{Name: "email", Value: email}))
	}
	if len(inFiles(t, path, phone)) == 0 {
		t.Fatal("the number is nowhere before it is removed: the test looks in the wrong place")
	}
	check(t, s.Commit(ctx, batch))
	gone("after the fold", phone)

	if found := forget(t, s, phone, ""); found.Events != many {
		t.Errorf("found %+v", found)
	}
	gone("after it was forgotten", email)

	old := event("old")
	old.Message = "words to be swept"
	appendAll(t, s, old)
	check(t, s.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: many + 1}}}))
	_, err = s.Sweep(ctx, noon.Add(2*time.Hour), time.Hour, 0)
	check(t, err)
	gone("after the sweep", old.Message)
}

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "test.db")
	modes := func() (open []string) {
		files, err := filepath.Glob(path + "*")
		check(t, err)
		if len(files) < 3 {
			t.Errorf("only %v", files)
		}
		for _, file := range files {
			if mode, is := store.OpenToOthers(file); is {
				open = append(open, fmt.Sprintf("%s %v", filepath.Base(file), mode))
			}
		}
		return open
	}
	for _, mode := range []os.FileMode{0, 0o644, 0o666} {
		if mode != 0 {
			check(t, os.Chmod(path, mode))
			check(t, os.Chmod(path+".lock", mode))
			check(t, os.WriteFile(path+"-wal", nil, mode))
			check(t, os.Chmod(path+"-wal", mode))
		}
		var log bytes.Buffer
		s, err := store.Open(ctx, store.Config{DSN: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		check(t, err)
		appendAll(t, s, event(fmt.Sprint("x", mode)))
		if open := modes(); len(open) > 0 {
			t.Errorf("%v: open to others: %v", mode, open)
		}
		check(t, s.Close())
		if said := strings.Contains(log.String(), "could read the database"); said != (mode != 0) {
			t.Errorf("%v: the log says %s", mode, &log)
		}
	}
}
