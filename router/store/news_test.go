package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// TestNewsStandsBehindTrouble holds that of a thousand approvals and a ban the ban is told first, and that what is of
// severity warning goes before what is for information.
func TestNewsStandsBehindTrouble(t *testing.T) {
	t.Parallel()
	q := newQueue(t, opener(func(t *testing.T) string { return filepath.Join(t.TempDir(), "test.db") }))
	notice := func(event int64, severity router.Severity) router.Owed {
		return router.Owed{Notice: event, Key: fmt.Sprint("flowbridge/notice/", event), Target: chatTarget,
			Severity: severity}
	}
	var news []router.Owed
	for event := range int64(1000) {
		news = append(news, notice(event+1, router.Info))
	}
	q.owe(news...)
	q.pass(1)
	q.owe(notice(2000, router.Warning))
	q.pass(1)
	q.owe(chat(1, true, router.Critical))
	for i, want := range []struct {
		about string
		class router.Class
	}{{"INC-1", router.ClassNew}, {"n2000", router.ClassWorse}} {
		if n := q.deliver("chat", router.Receipt{Open: true}); about(n) != want.about || n.Class != want.class {
			t.Errorf("delivery %d: got %s, class %s", i+1, about(n), n.Class)
		}
	}
	if n := q.claim("chat"); n.Digest == nil || !n.Digest.News || n.Class != router.ClassNews {
		t.Errorf("then: got %s, class %s", about(n), n.Class)
	}
}

// newsSuite holds that what comes at once and is for information is told in one message to a channel, and each once.
func newsSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	notice := func(event int64, severity router.Severity) router.Owed {
		return router.Owed{Notice: event, Key: fmt.Sprint("flowbridge/notice/", event), Target: chatTarget,
			Severity: severity}
	}
	news := func(from, n int64) (list []router.Owed) {
		for event := from; event < from+n; event++ {
			list = append(list, notice(event, router.Info))
		}
		return list
	}
	events := func(n *router.Notification) (list []int64) {
		if n.Digest == nil {
			return []int64{n.Notice.Event}
		}
		for _, p := range n.Digest.Parts {
			list = append(list, p.Notice.Event)
		}
		return list
	}
	t.Run("few are told one by one", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(news(1, router.FewNews)...)
		for i := range int64(router.FewNews) {
			if n := q.deliver("chat", router.Receipt{}); n.Notice == nil || n.Notice.Event != i+1 {
				t.Errorf("got %s", about(n))
			}
		}
	})
	t.Run("many are told in one, without what is of more weight", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(append(news(1, 7), notice(8, router.Warning))...)
		if n := q.deliver("chat", router.Receipt{}); n.Notice == nil || n.Notice.Event != 8 {
			t.Errorf("first: got %s", about(n))
		}
		n := q.deliver("chat", router.Receipt{Digest: "D"})
		if want := []int64{1, 2, 3, 4, 5, 6, 7}; n.Digest == nil || !n.Digest.News || !slices.Equal(events(n), want) {
			t.Errorf("got %s of %v, want %v", about(n), events(n), want)
		}
		if n, _ := q.try("chat"); n != nil {
			t.Errorf("told again: %s", about(n))
		}
	})
	t.Run("one that may have been told is looked for as it was", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(news(1, 7)...)
		lost := q.claim("chat") // its process dies
		q.owe(news(8, 7)...)
		q.pass(2 * time.Minute)
		again := q.claim("chat")
		if again.Digest == nil || !again.Digest.Unsettled || again.Digest.ID != lost.Digest.ID ||
			!slices.Equal(events(again), events(lost)) {
			t.Fatalf("got %s of %v", about(again), events(again))
		}
		notThere := told(again, router.Receipt{})
		notThere.State = router.DeliveryCancelled
		check(t, q.Finish(context.Background(), notThere))
		if n := q.deliver("chat", router.Receipt{Digest: "D"}); len(events(n)) != 14 || n.Digest.Unsettled {
			t.Errorf("then: %v", events(n))
		}
	})
	t.Run("one whose rule names fields is told alone", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(news(1, 7)...)
		asked := notice(8, router.Info)
		check(t, q.Commit(context.Background(), router.Batch{Owed: []router.Owed{asked},
			Notices: []router.Notice{{Event: 8, At: noon, Name: "X", Fields: []router.Field{{Name: "city", Value: "Berlin"}}}}}))
		if n := q.deliver("chat", router.Receipt{Digest: "D"}); len(events(n)) != 7 {
			t.Errorf("got %v", events(n))
		}
		if n := q.deliver("chat", router.Receipt{}); n.Notice == nil || n.Notice.Event != 8 {
			t.Errorf("then: %s", about(n))
		}
	})
}
