package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	databases "flowbridge/router/store/storetest"
)

// TestServePassesPostsOn starts the bridge in front of a receiver that fails at first, as one that is being
// restarted. Meta's repeat reaches the receiver; the bridge tells of the alert once.
func TestServePassesPostsOn(t *testing.T) {
	t.Parallel()
	var heard atomic.Int64
	body := pairPost(lately, "77", "ACTIVATED", 50)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got, err := io.ReadAll(r.Body); err != nil || string(got) != body {
			t.Errorf("the receiver got %q, %v", got, err)
		}
		if heard.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer receiver.Close()
	s := newServices(t, "#ops")
	s.env = append(s.env, "FLOWBRIDGE_FORWARD="+receiver.URL+"/hook")
	p := start(t, s, writeRules(t, crashRules), databases.File(t))
	p.post(t, body, http.StatusBadGateway)
	p.post(t, body, http.StatusOK)
	eventually(t, "PagerDuty is told", func() bool { return len(s.PagerDuty.Incidents()) == 1 })
	var journal struct{ Events []any }
	p.get(t, "/api/v1/events", &journal)
	if got := len(journal.Events); got != 1 || heard.Load() != 2 {
		t.Errorf("%d events, want one; the receiver heard of %d posts, want both", got, heard.Load())
	}
}
