package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"flowbridge/cmd/flowbridge/watch"
	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/whatsapp"
)

const (
	// drillWindow is for how long after its time a drill still begins. What was missed for longer is not made up for.
	drillWindow = time.Hour
	// drillPatience is how long each half of a drill may take until it has failed.
	drillPatience = 10 * time.Minute

	drillAccount = "0"
)

// drillFlow is the flow of the drill of a time: the same for every process, so that there is one.
func drillFlow(at time.Time) string {
	return router.DrillPrefix + strconv.FormatInt(at.UnixMilli(), 10)
}

// drillBody is the post that begins a drill, or ends it.
func drillBody(flow, rule string, at time.Time, state string) ([]byte, error) {
	more := map[string]any{}
	if rule != "" {
		more[rules.DrillRule] = rule
	}
	return whatsapp.Drill(flow, at, state, more)
}

// drill begins and ends the drills of the rules, and says how the last one went. How far one has come it reads from the
// database: a restart neither forgets nor repeats it.
func (w *watcher) drill(ctx context.Context) error {
	plan, now := w.b.rules.rules().Drill(), w.now()
	states, err := w.b.store.States(ctx, []router.FlowID{subjectID("drill")}, nil)
	if err != nil {
		return err
	}
	f := watch.Finding{Signal: router.DrillFailed, ID: "drill", Name: "flowbridge"}
	f.Word, _ = wordOf(states[subjectID("drill")], f.Signal)
	if slot := plan.Slot(now); slot.IsZero() {
		f.Word = ""
	} else if err := w.drillOf(ctx, plan.Rule, slot, &f); err != nil {
		return err
	}
	if e, ok := changeOf(states[subjectID("drill")], &f, now); ok {
		return w.tell(ctx, []router.Event{e})
	}
	return nil
}

// drillOf takes the drill of a time one step further. Where that says how it went it is put into f, which else stays.
func (w *watcher) drillOf(ctx context.Context, rule string, slot time.Time, f *watch.Finding) error {
	now, flow := w.now(), drillFlow(slot)
	id := router.FlowID{WABA: drillAccount, Flow: flow}
	states, err := w.b.store.States(ctx, []router.FlowID{id}, nil)
	if err != nil {
		return err
	}
	failed := func(why string) {
		f.Word = router.DrillFailedWord
		f.Facts = []router.Fact{{Name: "Drill of", Text: slot.UTC().Format("2006-01-02 15:04 MST")}, {Name: "Why", Text: why}}
	}
	state := states[id]
	if len(state.Incidents) == 0 {
		switch {
		case now.Sub(slot) > drillWindow || len(state.Alerts) > 0:
		case now.Sub(slot) > drillPatience && w.started.Before(slot):
			failed("it came to no incident")
		default:
			return w.post(flow, rule, slot, router.Activated)
		}
		return nil
	}
	inc, err := w.b.store.Incident(ctx, state.Incidents[len(state.Incidents)-1].Number)
	if err != nil {
		return err
	}
	missing := untold(&inc)
	switch {
	case inc.State != router.IncidentResolved && missing != "" && now.Sub(inc.OpenedAt) < drillPatience &&
		len(inc.Deliveries) > 0:
	case inc.State != router.IncidentResolved:
		if missing != "" {
			failed(missing)
		}
		return w.post(flow, rule, now, router.Deactivated)
	case inc.ResolvedAt.Sub(inc.OpenedAt) >= drillPatience:
		failed("it was not told within " + router.FormatDuration(drillPatience))
	case missing == "":
		f.Word = ""
	case len(inc.Deliveries) == 0 || now.Sub(inc.ResolvedAt) >= drillPatience:
		failed(missing)
	}
	return nil
}

// untold says who was not told, "" if everybody was.
func untold(inc *router.IncidentDetail) string {
	switch {
	case len(inc.Deliveries) == 0 && inc.Silence.ID != "":
		return "silence " + inc.Silence.ID + " covers it"
	case len(inc.Deliveries) == 0:
		return "no rule tells anybody"
	}
	for _, d := range inc.Deliveries {
		if d.State != router.DeliveryDelivered {
			return fmt.Sprintf("%s: %s", d.Notifier, d.State)
		}
	}
	return ""
}

// post hands a drill's post to the intake, signed as Meta's are.
func (w *watcher) post(flow, rule string, at time.Time, state string) error {
	body, err := drillBody(flow, rule, at, state)
	if err != nil {
		return err
	}
	secrets := w.b.cfg.AppSecrets
	if now := w.b.cfg.SecretFiles.all("META_APP_SECRET"); now != nil {
		secrets = now()
	}
	if len(secrets) == 0 {
		return errors.New("no app secret to sign a drill with")
	}
	req, err := http.NewRequest(http.MethodPost, "/webhooks/whatsapp", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Hub-Signature-256", whatsapp.Sign(secrets[0], body))
	answer := &drillAnswer{header: http.Header{}}
	w.b.intake.Receive(answer, req)
	if answer.status != 0 && answer.status != http.StatusOK {
		return fmt.Errorf("the drill was answered %d", answer.status)
	}
	return nil
}

// drillAnswer keeps the status of an answer.
type drillAnswer struct {
	header http.Header
	status int
}

func (a *drillAnswer) Header() http.Header         { return a.header }
func (a *drillAnswer) Write(p []byte) (int, error) { return len(p), nil }
func (a *drillAnswer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}
