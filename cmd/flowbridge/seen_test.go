package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"flowbridge/router/console"
	databases "flowbridge/router/store/storetest"
)

// TestWhatAPersonDidIsThereWhenTheyLook acts over the API and looks at once, again and again: with one process on
// SQLite, and with two on PostgreSQL, of which one folds what both are asked for. Where an answer says that the fold is
// late, on a machine that has much else to do, it need not be there yet.
func TestWhatAPersonDidIsThereWhenTheyLook(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	for _, c := range []struct {
		name      string
		dsn       func(t *testing.T) string
		processes int
	}{
		{"SQLite", func(t *testing.T) string { return databases.File(t) }, 1},
		{"PostgreSQL", func(t *testing.T) string { return databases.Shared(t).Database(t) }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServices(t, "#ops")
			rules, dsn := writeRules(t, ruleNamed("everything")), c.dsn(t)
			var all []*process
			for range c.processes {
				all = append(all, start(t, s, rules, dsn))
			}
			all[0].post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
			eventually(t, "the incident is open", func() bool { return look(t, all[0]).State == "open" })
			late := 0
			for round := range 50 / len(all) { // with four acts each
				for i, p := range all {
					late += actAndLook(t, p, fmt.Sprintf("round %d, process %d", round+1, i+1))
				}
			}
			if late == 200 {
				t.Error("not one of the acts was done when it was answered")
			}
			for _, p := range all {
				must(t, p.stop(t))
			}
		})
	}
}

func look(t *testing.T, p *process) (seen console.Incident) {
	t.Helper()
	p.get(t, "/api/v1/incidents/1", &seen)
	return seen
}

// act does something over the API, which must be taken. Where it is done when it is answered, what may be seen at once
// is checked; else it is waited for.
func (p *process) act(t *testing.T, when, method, path, body string, seen func() error) (late int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.Admin+path, strings.NewReader(body))
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	var answer console.Acted
	must(t, json.NewDecoder(resp.Body).Decode(&answer))
	if resp.StatusCode != http.StatusAccepted || !answer.Queued || answer.Outcome+answer.Note == "" {
		t.Fatalf("%s: %s %s: %s %+v", when, method, path, resp.Status, answer)
	}
	if answer.Note != "" {
		eventually(t, "it is seen", func() bool { return seen() == nil })
		return 1
	}
	if err := seen(); err != nil {
		t.Errorf("%s: %s %s is answered with %+v, and then %v", when, method, path, answer, err)
	}
	return 0
}

// actAndLook does four acts that leave everything as it was, and returns how many were late.
func actAndLook(t *testing.T, p *process, when string) (late int) {
	t.Helper()
	id := ""
	state := func(want string) func() error {
		return func() error {
			if got := look(t, p).State; got != want {
				return fmt.Errorf("it is %s", got)
			}
			return nil
		}
	}
	silenced := func(want bool) func() error {
		return func() error {
			var list struct{ Silences []console.Silence }
			p.get(t, "/api/v1/silences?state=active", &list)
			if len(list.Silences) == 1 {
				id = list.Silences[0].ID
			}
			if got := look(t, p).Silenced != nil; len(list.Silences) == 1 != want || got != want {
				return fmt.Errorf("%d silences hold, and the incident is under one: %t", len(list.Silences), got)
			}
			return nil
		}
	}
	late += p.act(t, when, "POST", "/api/v1/incidents/1/acknowledge", "", state("acknowledged"))
	late += p.act(t, when, "POST", "/api/v1/incidents/1/unacknowledge", "", state("open"))
	late += p.act(t, when, "POST", "/api/v1/silences", `{"flow": "77", "for": "1h"}`, silenced(true))
	return late + p.act(t, when, "DELETE", "/api/v1/silences/"+id, "", silenced(false))
}
