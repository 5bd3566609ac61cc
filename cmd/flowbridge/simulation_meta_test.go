package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
	"flowbridge/router/whatsapp"
)

// post is a webhook on its way, or to be repeated.
type post struct {
	at   time.Time // not before
	body []byte
}

// stale is how old an event may be when it arrives and still open anything: Meta repeats for seven days.
const stale = 8 * 24 * time.Hour

// happen is Meta's monitoring finding something, which is then on its way, perhaps twice and out of order.
func (w *world) happen() {
	w.truth = later(w.truth, w.now).Add(time.Second)
	account, flow := "501", []string{"71", "72", "73"}[w.rand.IntN(1+int(w.seed%3))]
	if w.has(withAccounts) {
		account = []string{"501", "502"}[w.rand.IntN(2)]
	}
	switch w.rand.IntN(5) {
	case 0:
		id := account + "/" + flow
		from := w.status[id]
		to := []string{router.Published, router.Throttled, router.Blocked}[w.rand.IntN(3)]
		w.status[id] = to
		w.sent(account, statusChange(flow, from, to))
	case 1:
		w.toggle(account, flow, router.EndpointAvailability, 90)
	case 2:
		w.refresh(account, flow)
	default:
		w.toggle(account, flow, router.EndpointErrorRate, []float64{5, 10, 50}[w.rand.IntN(3)])
	}
}

func statusChange(flow, from, to string) map[string]any {
	return map[string]any{"flow_id": flow, "event": router.FlowStatusChange, "old_status": from, "new_status": to}
}

func (w *world) toggle(account, flow, event string, threshold float64) {
	key := account + "/" + flow + "/" + event
	state := router.Activated
	if i := slices.Index(w.active[key], threshold); i >= 0 {
		state = router.Deactivated
		w.active[key] = slices.Delete(slices.Clone(w.active[key]), i, i+1)
	} else {
		w.active[key] = append(slices.Clone(w.active[key]), threshold)
	}
	w.sent(account, map[string]any{"flow_id": flow, "event": event, "threshold": threshold, "alert_state": state})
}

// refresh is new numbers about what is wrong already.
func (w *world) refresh(account, flow string) {
	active := w.active[account+"/"+flow+"/"+router.EndpointErrorRate]
	if len(active) == 0 {
		return
	}
	threshold := active[w.rand.IntN(len(active))]
	w.sent(account, map[string]any{"flow_id": flow, "event": router.EndpointErrorRate, "threshold": threshold,
		"alert_state": router.Activated, "error_rate": threshold + float64(w.rand.IntN(20))})
}

// recover ends everything that is wrong.
func (w *world) recover() {
	w.say("-- everything recovers")
	w.truth = later(w.truth, w.now)
	for _, account := range []string{"501", "502"} {
		for _, flow := range []string{"71", "72", "73"} {
			if account == "502" && !w.has(withAccounts) {
				continue
			}
			for _, event := range []string{router.EndpointAvailability, router.EndpointErrorRate} {
				for _, threshold := range slices.Clone(w.active[account+"/"+flow+"/"+event]) {
					w.truth = w.truth.Add(time.Second)
					w.toggle(account, flow, event, threshold)
				}
			}
			w.truth = w.truth.Add(time.Second)
			id := account + "/" + flow
			w.sent(account, statusChange(flow, w.status[id], router.Published))
			w.status[id] = router.Published
		}
	}
	if w.Storms > 0 && !w.stormy { // its end may be dated before its beginning, where Meta's clock was ahead
		w.truth = w.truth.Add(time.Second)
		w.sent("501", stormOf(router.Deactivated)...)
	}
}

// stormOf are the changes of the flows that a storm breaks, or mends.
func stormOf(state string) (values []map[string]any) {
	for i := range router.StormSize + 6 {
		values = append(values, map[string]any{"flow_id": fmt.Sprint(800 + i), "event": router.EndpointAvailability,
			"threshold": 90, "alert_state": state})
	}
	return values
}

// storm breaks many flows at once, or mends them. Often something goes wrong while the channel is told.
func (w *world) storm() {
	state := router.Activated
	if w.stormy {
		state = router.Deactivated
	}
	w.stormy = !w.stormy
	w.Storms++
	w.truth = later(w.truth, w.now).Add(time.Second)
	w.sent("501", stormOf(state)...)
	w.now = later(w.now, w.truth)
	for i := range w.unposted {
		w.unposted[i].at = w.now
	}
	for range 40 {
		w.survive(w.postOne)
		w.survive(func() { w.fold() })
	}
	switch w.rand.IntN(3) {
	case 0:
		w.disturb()
	case 1:
		w.store.left = w.rand.IntN(6)
	}
}

// calm ends a storm.
func (w *world) calm() {
	if w.stormy {
		w.storm()
		w.endTrouble()
	}
}

// outage keeps every post back for a while: they arrive in a heap.
func (w *world) outage() {
	w.heapUntil = w.now.Add(time.Duration(1+w.rand.IntN(120)) * time.Minute)
	w.say("no post arrives before %s", w.heapUntil.Format("15:04:05"))
	for i := range w.unposted {
		w.unposted[i].at = later(w.unposted[i].at, w.heapUntil)
	}
}

// delay is how long a post takes. What is days late may be too old to open anything.
func (w *world) delay(status bool) time.Duration {
	d := time.Duration(w.rand.IntN(90)) * time.Second
	if !w.has(withLate) {
		return d
	}
	switch n := w.rand.IntN(24); {
	case n < 3:
		return time.Duration(w.rand.IntN(40)) * time.Minute
	case n == 3:
		return time.Duration(w.rand.IntN(72)) * time.Hour
	case n == 4 && !status: // a status leaves one level and enters another at once
		return stale + time.Duration(12+w.rand.IntN(60*24))*time.Hour
	}
	return d
}

// sent puts events on their way, in one webhook.
func (w *world) sent(account string, values ...map[string]any) {
	var changes []any
	status := false
	for _, v := range values {
		changes = append(changes, map[string]any{"field": "flows", "value": v})
		status = status || v["event"] == router.FlowStatusChange
	}
	entryTime := w.truth
	if w.has(withAhead) {
		seconds := []int{0, 0, w.rand.IntN(600), w.rand.IntN(5 * 3600)}[w.rand.IntN(4)]
		entryTime = entryTime.Add(time.Duration(seconds) * time.Second)
	}
	body, err := json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": []any{map[string]any{
		"id": account, "time": entryTime.Unix(), "changes": changes}}})
	w.must(err)
	events, _ := whatsapp.Decode(body, w.truth, nil)
	w.happened = append(w.happened, events...)
	w.Events += len(events)
	copies := 1 + w.rand.IntN(5)/4
	w.Repeats += copies - 1
	for range copies {
		w.unposted = append(w.unposted, post{later(w.truth.Add(w.delay(status)), w.heapUntil), body})
	}
	slices.SortStableFunc(w.unposted, func(a, b post) int { return a.at.Compare(b.at) })
	w.say("Meta sees %s %v, dated %s", account, values, entryTime.Format("15:04:05"))
}

// postOne delivers the next webhook. What is not answered 200 is repeated, as Meta does.
func (w *world) postOne() {
	if len(w.unposted) == 0 || w.unposted[0].at.After(w.now) {
		return
	}
	p := w.unposted[0]
	req := httptest.NewRequest(http.MethodPost, "/webhooks/whatsapp", bytes.NewReader(p.body))
	req.Header.Set("X-Hub-Signature-256", whatsapp.Sign(testSecret, p.body))
	answer := httptest.NewRecorder()
	w.Posts++
	w.unposted[0].at = w.now.Add(time.Minute) // unless it is answered
	w.intake.Receive(answer, req)
	_, values, _ := strings.Cut(string(p.body), `"value":`)
	w.say("post answered %d: %.110s", answer.Code, values)
	if answer.Code == http.StatusOK {
		w.unposted = w.unposted[1:]
	}
	slices.SortStableFunc(w.unposted, func(a, b post) int { return a.at.Compare(b.at) })
}
