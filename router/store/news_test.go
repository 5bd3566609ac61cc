package store_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"flowbridge/router"
)

// TestNewsStandsBehindTrouble holds that of a thousand approvals and a ban the ban is told first, and that what is of
// severity warning goes before what is for information.
func TestNewsStandsBehindTrouble(t *testing.T) {
	q := newQueue(t, opener(func(t *testing.T) string { return filepath.Join(t.TempDir(), "test.db") }))
	notice := func(event int64, severity router.Severity) router.Owed {
		return router.Owed{Notice: event, Key: fmt.Sprint("flowbridge/notice/", event), Target: chatTarget, Severity: severity}
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
	if n := q.claim("chat"); n.Notice == nil || n.Class != router.ClassNews {
		t.Errorf("then: got %s, class %s", about(n), n.Class)
	}
}
