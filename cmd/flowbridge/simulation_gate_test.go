package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"time"

	"flowbridge/notifiers/sandbox"
)

// gate stands before a service. It may answer in the service's place: a proxy, or a service that means something else
// than its stand-in can say.
type gate struct {
	w      *world
	name   string
	next   http.Handler
	faults []*gateFault
}

// gateFault is an answer that some calls get.
type gateFault struct {
	times  int
	method string // Slack's, "" for any call
	reply  bool   // only posts into a thread
	status int
	header http.Header
	body   string
	after  bool // the service has done what was asked
}

// ServeHTTP answers a call, or lets it through.
func (g *gate) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	for _, f := range g.faults {
		if f.times == 0 || f.method != "" && f.method != path.Base(r.URL.Path) {
			continue
		}
		form, _ := url.ParseQuery(string(body))
		if f.reply && form.Get("thread_ts") == "" {
			continue
		}
		f.times--
		if f.after {
			g.next.ServeHTTP(httptest.NewRecorder(), r)
		}
		g.w.say("%s: %s %s answered %d %.60s", g.name, path.Base(r.URL.Path), form.Get("thread_ts"), f.status, f.body)
		for key := range f.header {
			rw.Header().Set(key, f.header.Get(key))
		}
		rw.WriteHeader(f.status)
		_, _ = io.WriteString(rw, f.body)
		return
	}
	g.next.ServeHTTP(rw, r)
}

func (g *gate) fail(f gateFault) {
	g.w.Faults++
	g.w.say("%s fails %d times: %d %v %s %s (after it did what was asked: %t)",
		g.name, f.times, f.status, f.header, f.method, f.body, f.after)
	g.faults = append(g.faults, &f)
}

// proxy lets something in front of a service answer for it.
func (w *world) proxy() {
	g := w.gates[w.rand.IntN(2)]
	status := []int{401, 403, 404, 405, 407, 413, 418, 425, 451, 302, 307, 200}[w.rand.IntN(12)]
	f := gateFault{times: 1 + w.rand.IntN(7), status: status, header: http.Header{"Content-Type": {"text/html"}},
		body: "<html><body>the proxy says no</body></html>"}
	if status/100 == 3 {
		f.header.Set("Location", "/login")
	}
	g.fail(f)
}

// hurried lets a service name an absurd time to come back.
func (w *world) hurried() {
	g := w.gates[w.rand.IntN(2)]
	when := []string{"86400", "2147483647", "5000", w.now.AddDate(0, 0, 5).UTC().Format(http.TimeFormat)}[w.rand.IntN(4)]
	f := gateFault{times: 1 + w.rand.IntN(2), status: http.StatusTooManyRequests,
		header: http.Header{"Retry-After": {when}}, body: `{"ok":false,"error":"ratelimited"}`}
	if g.name == "PagerDuty" {
		f.body = `{"status":"throttle exceeded","message":"Requests for this service are arriving too quickly."}`
	}
	g.fail(f)
}

// slackSays lets Slack refuse in its own words.
func (w *world) slackSays(method string, times int, reply bool, codes ...string) {
	code := codes[w.rand.IntN(len(codes))]
	w.gates[0].fail(gateFault{
		times: times, method: method, reply: reply, status: http.StatusOK,
		header: http.Header{"Content-Type": {"application/json"}}, body: fmt.Sprintf(`{"ok":false,"error":%q}`, code),
		after: strings.HasSuffix(code, "_error") && w.rand.IntN(2) == 0,
	})
}

// disturb makes a service fail for a while.
func (w *world) disturb() {
	var kinds []func()
	for _, k := range []struct {
		when trouble
		do   func()
	}{
		{withProxies, w.proxy},
		{withWaits, w.hurried},
		{withUnsure, func() {
			w.slackSays("", 1+w.rand.IntN(6), false, "internal_error", "internal_error", "fatal_error", "team_added_to_org",
				"external_channel_migrating", "org_login_required")
		}},
		{withFrozen, func() {
			w.slackSays("chat.update", 1+w.rand.IntN(12), false, "edit_window_closed", "cant_update_message")
		}},
		{withClosed, func() {
			w.slackSays("chat.postMessage", 1+w.rand.IntN(4), true, "cannot_reply_to_message",
				"restricted_action_thread_locked", "restricted_action_non_threadable_channel")
		}},
	} {
		if w.has(k.when) {
			kinds = append(kinds, k.do)
		}
	}
	if len(kinds) > 0 && w.rand.IntN(3) > 0 {
		kinds[w.rand.IntN(len(kinds))]()
		return
	}
	w.Faults++
	times := 1 + w.rand.IntN(3)
	if w.rand.IntN(2) == 0 {
		w.disturbSlack(times)
		return
	}
	f := sandbox.Fault{Times: times, AfterAccept: w.rand.IntN(2) == 0}
	switch w.rand.IntN(3) {
	case 0:
		f.Status, f.AfterAccept = http.StatusTooManyRequests, false
	case 1:
		f.Status = http.StatusServiceUnavailable
	default:
		f.EOF = true
	}
	w.say("PagerDuty fails %d times: %+v", times, f)
	w.pager.Fail(f)
}

func (w *world) disturbSlack(times int) {
	f := sandbox.Fault{Times: times, Skip: w.rand.IntN(3), AfterAccept: w.rand.IntN(2) == 0}
	switch w.rand.IntN(4) {
	case 0:
		f.Status, f.RetryAfter = http.StatusTooManyRequests, 20*time.Second
		f.AfterAccept = false
	case 1:
		f.Status = http.StatusBadGateway
	case 2:
		f.EOF = true
	default:
		f.OKFalse, f.AfterAccept = "internal_error", false
	}
	w.say("Slack fails %d times: %+v", times, f)
	w.slack.Fail(f)
}

// endTrouble makes services and storage whole.
func (w *world) endTrouble() {
	w.slack.ClearFaults()
	w.pager.ClearFaults()
	for _, g := range w.gates {
		g.faults = nil
	}
	w.store.left, w.store.sick, w.readOnlyUntil = -1, 0, time.Time{}
}
