package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox/sandboxtest"
	"flowbridge/router"
	"flowbridge/router/console"
)

// TestTablesForPeople prints the answers that package console holds as golden files, so that neither changes without
// the other.
func TestTablesForPeople(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 12, 0, 0, time.UTC)
	for _, tt := range []struct {
		golden, answer string
		print          func(w *bytes.Buffer, answer []byte) error
	}{
		{"incidents", "incidents.json", func(w *bytes.Buffer, answer []byte) error {
			var v struct{ Incidents []console.Incident }
			if err := json.Unmarshal(answer, &v); err != nil {
				return err
			}
			return printIncidents(w, v.Incidents, now)
		}},
		{"incident", "incident.json", func(w *bytes.Buffer, answer []byte) error {
			var v console.Incident
			if err := json.Unmarshal(answer, &v); err != nil {
				return err
			}
			return printIncident(w, &v, now)
		}},
		{"deliveries", "deliveries.json", func(w *bytes.Buffer, answer []byte) error {
			var v struct{ Deliveries []console.ListedDelivery }
			if err := json.Unmarshal(answer, &v); err != nil {
				return err
			}
			return printDeliveries(w, v.Deliveries, now)
		}},
		{"silences", "silences.json", func(w *bytes.Buffer, answer []byte) error {
			var v struct{ Silences []console.Silence }
			if err := json.Unmarshal(answer, &v); err != nil {
				return err
			}
			return printSilences(w, v.Silences, now)
		}},
	} {
		t.Run(tt.golden, func(t *testing.T) {
			answer, err := os.ReadFile(filepath.Join("../../router/console/testdata", tt.answer))
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := tt.print(&got, answer); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "admin", tt.golden+".golden")
			sandboxtest.Golden(t, file, got.String(), *update)
		})
	}
}

func TestAPageThatWaitsIsSeenInTheList(t *testing.T) {
	t.Parallel()
	due := time.Date(2026, 5, 4, 22, 46, 0, 0, time.UTC)
	for unless, want := range map[bool]string{false: "pages oncall at " + clock(&due),
		true: "pages oncall at " + clock(&due) + " unless acknowledged"} {
		inc := console.Incident{Pages: []console.Page{{Notifier: "oncall", State: string(router.PageWaiting), At: &due,
			UnlessAcknowledged: unless}}}
		if got := notesOf(&inc); len(got) != 1 || got[0] != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAnIncidentOfSeveralSignalsIsListedByItsWorst(t *testing.T) {
	t.Parallel()
	inc := console.Incident{State: "open", Signal: router.EndpointErrorRate, Path: []router.Level{"5"},
		Alerts: []console.Alert{
			{Signal: router.EndpointAvailability, Event: router.EndpointAvailability, Threshold: new(90.0)},
			{Signal: router.EndpointLatency, Event: router.EndpointLatency, Threshold: new(7000.0), Active: true},
			{Signal: router.EndpointErrorRate, Event: router.EndpointErrorRate, Threshold: new(5.0), Active: true}}}
	const worst = "Endpoint latency (p90) 7 s"
	for state, want := range map[string]string{"open": worst, "acknowledged": worst,
		"resolved": "Endpoint error rate 5 %"} {
		if inc.State = state; troubleOf(&inc) != want {
			t.Errorf("%s: %q, want %q", state, troubleOf(&inc), want)
		}
	}
}
