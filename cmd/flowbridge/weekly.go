package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"flowbridge/router"
)

// reportWindow is how long after its time a report is still told: what a bridge that was down for a day would tell is
// old.
const reportWindow = 24 * time.Hour

// week is what a weekly report is of.
const week = 7 * 24 * time.Hour

// report tells the report of the last time that the rules name, unless the journal has it.
func (w *watcher) report(ctx context.Context) error {
	plan, now := w.b.rules.rules().Report(), w.now()
	slot := plan.Slot(now)
	if slot.IsZero() || now.Sub(slot) > reportWindow {
		return nil
	}
	e := router.Event{
		Source: router.SourceFlowbridge, Name: router.WeeklyReport, Received: now.UTC(), At: now.UTC(),
		Digest: fmt.Sprintf("report/%d", slot.Unix()),
	}
	if _, err := w.b.store.EventProgress(ctx, e.Digest); !errors.Is(err, router.ErrNotFound) {
		return err
	}
	f := router.ReportFilter{From: slot.Add(-week), To: slot, Zone: plan.Zone}
	data, err := w.b.store.ReportData(ctx, f)
	if err != nil {
		return err
	}
	made := router.NewReport(f, &data)
	e.Message = weeklyWords(&made)
	return w.tell(ctx, []router.Event{e})
}

// weeklyWords says in a few lines what a week was like.
func weeklyWords(r *router.Report) string {
	lines := []string{
		fmt.Sprintf("%s to %s", r.From.Format(time.DateOnly), r.To.Format(time.DateOnly)),
		fmt.Sprintf("Incidents: %d opened, %d resolved, %d still open", r.Incidents, r.Resolved, r.StillOpen()),
		fmt.Sprintf("Pages: %d, %d of them at night (22:00 to 06:00 %s)", r.Pages, r.NightPages, r.Zone),
		"Acknowledged: " + spreadWords(&r.Acknowledge),
		"Resolved: " + spreadWords(&r.Resolve),
	}
	for _, s := range r.Statuses {
		lines = append(lines, fmt.Sprintf("%s: %.0f min, %s", s.Status, s.Minutes, counted(int(s.Flows), "flow")))
	}
	if len(r.Rules) > 0 {
		lines = append(lines, "Noisiest rule: "+r.Rules[0].Name)
	}
	if n := len(r.Parked); n > 0 {
		lines = append(lines, "Parked deliveries need a person: "+r.Parked[0].Notifier+" first")
	}
	if r.Cut {
		lines = append(lines, "There was more than one report takes: the newest of it was counted.")
	}
	return strings.Join(lines, "\n")
}
