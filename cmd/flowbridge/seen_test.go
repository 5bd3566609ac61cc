package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	databases "flowbridge/router/store/storetest"
)

// TestWhatAPersonDidIsThereWhenTheyLook acts over the API and looks at once, again and again: with one process on SQLite, and
// with two on PostgreSQL, of which one folds what both are asked for.
func TestWhatAPersonDidIsThereWhenTheyLook(t *testing.T) {
	for _, c := range []struct {
		name      string
		dsn       func(t *testing.T) string
		processes int
	}{
		{"SQLite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "bridge.db") }, 1},
		{"PostgreSQL", func(t *testing.T) string { return databases.Shared(t).Database(t) }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServices(t, "#ops")
			rules, dsn := writeRules(t, ruleNamed("everything")), c.dsn(t)
			var all []*process
			for range c.processes {
				all = append(all, start(t, s, rules, dsn))
			}
			all[0].post(t, pairPost(1772438400, "77", "ACTIVATED", 50), http.StatusOK)
			eventually(t, "the incident is open", func() bool { return look(t, all[0]).State == "open" })
			for round := range 50 / len(all) { // with four acts each
				for i, p := range all {
					actAndLook(t, p, fmt.Sprintf("round %d, process %d", round+1, i+1))
				}
			}
			for _, p := range all {
				must(t, p.stop(t))
			}
		})
	}
}

// looked is what the API says of the incident.
type looked struct {
	State    string
	Silenced *struct{ Silence string }
}

func look(t *testing.T, p *process) (seen looked) {
	t.Helper()
	p.get(t, "/api/v1/incidents/1", &seen)
	return seen
}

// acted is what the API answers to an act.
type acted struct {
	Silence silenceView
	Outcome string
}

// act does something over the API; it must be taken, and be done when it is answered.
func (p *process) act(t *testing.T, method, path, body string) (answer acted) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.Admin+path, strings.NewReader(body))
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	_ = json.Unmarshal(text, &answer) // the end of a silence has its id in the place of the silence
	if resp.StatusCode != http.StatusAccepted || answer.Outcome == "" {
		t.Fatalf("%s %s: %s %s", method, path, resp.Status, text)
	}
	return answer
}

// actAndLook does four acts that leave everything as it was.
func actAndLook(t *testing.T, p *process, when string) {
	t.Helper()
	silences := func() (ids []string) {
		t.Helper()
		var list struct{ Silences []struct{ ID string } }
		p.get(t, "/api/v1/silences?state=active", &list)
		for _, s := range list.Silences {
			ids = append(ids, s.ID)
		}
		return ids
	}
	for _, act := range []struct{ word, state string }{{"acknowledge", "acknowledged"}, {"unacknowledge", "open"}} {
		p.act(t, "POST", "/api/v1/incidents/1/"+act.word, "")
		if got := look(t, p).State; got != act.state {
			t.Errorf("%s: after %s it is %s", when, act.word, got)
		}
	}
	id := p.act(t, "POST", "/api/v1/silences", `{"flow": "77", "for": "1h"}`).Silence.ID
	if got := silences(); !slices.Equal(got, []string{id}) {
		t.Errorf("%s: after silence %s was added there are %v", when, id, got)
	}
	if got := look(t, p).Silenced; got == nil || got.Silence != id {
		t.Errorf("%s: the incident is not under the silence: %+v", when, got)
	}
	p.act(t, "DELETE", "/api/v1/silences/"+id, "")
	if got := silences(); len(got) > 0 {
		t.Errorf("%s: after it ended there are %v", when, got)
	}
	if got := look(t, p).Silenced; got != nil {
		t.Errorf("%s: the incident is under %+v still", when, got)
	}
}
