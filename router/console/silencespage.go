package console

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

func (c *Console) silenceRoutes() []pageRoute {
	return []pageRoute{
		{Method: http.MethodGet, Path: "/silences", Nav: "/silences", View: c.silencesPage},
		{Method: http.MethodGet, Path: "/silences/:id", Nav: "/silences", View: c.silenceForms},
		{Method: http.MethodPost, Path: "/silences/:id", Nav: "/silences", View: c.postSilence},
		{Method: http.MethodGet, Path: "/silences/:id/end", Nav: "/silences", View: c.confirmEnd},
		{Method: http.MethodPost, Path: "/silences/:id/end", Nav: "/silences", View: c.postEnd},
		{Method: http.MethodGet, Path: "/silences/:id/extend", Nav: "/silences", View: c.confirmExtend},
		{Method: http.MethodPost, Path: "/silences/:id/extend", Nav: "/silences", View: c.postExtend},
	}
}

// silenceGroup is the silences in one state.
type silenceGroup struct {
	Name, None string
	List       []silenceCard
}

// silenceCard is a silence of the list.
type silenceCard struct {
	ID, Of, Why, By string
	Since, Until    time.Time
	Recovered       bool // it ends by itself
	Ended           time.Time
	Ends            string // "ends in 10 min", or ""
	Soon            bool
	Covers, Held    []int64
	Planned, Over   bool
	Repeat          string // path
}

// endsSoon is how long before its end a silence is marked: what is still open is told then.
const endsSoon = time.Hour

// silencesPage: GET /silences
func (c *Console) silencesPage(r *http.Request, _ httprouter.Params) (page, error) {
	list, _, err := c.recentSilences(r, "", "", maxLimit)
	if err != nil {
		return page{}, err
	}
	if err := c.cover(r, list); err != nil {
		return page{}, err
	}
	held, err := c.heldBack(r, list)
	if err != nil {
		return page{}, err
	}
	groups := []silenceGroup{{Name: "In force", None: "Nothing is silenced."}, {Name: "Planned"},
		{Name: "Ended in the last week"}}
	now := c.cfg.Now()
	for i := range list {
		at := slices.Index(silenceStates, list[i].State)
		groups[at].List = append(groups[at].List, newSilenceCard(&list[i], held[list[i].ID], now))
	}
	return page{Title: "Silences", Template: "silences", Data: groups}, nil
}

func newSilenceCard(s *Silence, held []int64, now time.Time) silenceCard {
	card := silenceCard{ID: s.ID, Of: coveredWords(s), Why: s.Why, By: s.By, Since: timeOf(s.Since),
		Until: timeOf(s.Until), Recovered: s.UntilRecovered,
		Ended: timeOf(s.EndedAt), Covers: s.Covers, Held: held, Planned: s.State == silencePlanned,
		Over: s.State == silenceEnded}
	if left := card.Until.Sub(now); s.State == silenceActive && !s.UntilRecovered {
		card.Ends, card.Soon = "ends in "+router.FormatDuration(shortened(left)), left < endsSoon
	}
	card.Repeat = "/silences/" + silenceNew + queryOf(scopeQuery(s, lengthOf(s)))
	return card
}

// shortened leaves out of a time what nobody reads.
func shortened(d time.Duration) time.Duration {
	switch {
	case d > 24*time.Hour:
		return d.Round(time.Hour)
	case d > time.Minute:
		return d.Round(time.Minute)
	}
	return d
}

// coveredWords says in a line what a silence covers, with names.
func coveredWords(s *Silence) string {
	var parts []string
	for _, one := range []struct{ what, name, id string }{{"account", s.AccountName, s.WABA},
		{"flow", s.FlowName, s.Flow}} {
		if one.id != "" {
			parts = append(parts, one.what+" "+cmp.Or(one.name, one.id))
		}
	}
	if s.Event != "" {
		parts = append(parts, router.SignalName(s.Event))
	}
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		parts = append(parts, key+" "+s.Labels[key])
	}
	return cmp.Or(strings.Join(parts, ", "), "Everything")
}

// scopeQuery writes the scope of a silence as the form of a new one takes it.
func scopeQuery(s *Silence, length string) url.Values {
	q := url.Values{"flow": {s.Flow}, "waba": {s.WABA}, "event": {s.Event}, "why": {s.Why}, "for": {length}}
	var labels []string
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		if key == "team" {
			q.Set("team", s.Labels[key])
		} else {
			labels = append(labels, key+"="+s.Labels[key])
		}
	}
	q.Set("labels", strings.Join(labels, ", "))
	if s.Everything {
		q.Set("everything", "yes")
	}
	return q
}

// lengthOf is how long a silence was meant to hold, as a choice of the form; "" where it is none of those.
func lengthOf(s *Silence) string {
	if s.UntilRecovered {
		return recovered
	}
	for _, o := range silenceLengths {
		if d, ok := router.ParseDuration(o.Value); ok && s.Since != nil && s.Until != nil &&
			s.Until.Sub(*s.Since).Round(time.Minute) == d {
			return o.Value
		}
	}
	return ""
}

// heldBack returns the incidents that began under a silence and of which nobody was told, by the silence.
func (c *Console) heldBack(r *http.Request, list []Silence) (map[string][]int64, error) {
	held, from := map[string][]int64{}, time.Time{}
	for i := range list {
		if since := timeOf(list[i].Since); list[i].State != silencePlanned && (from.IsZero() || since.Before(from)) {
			from = since
		}
	}
	if from.IsZero() {
		return held, nil
	}
	rows, _, err := c.everyIncident(r, router.IncidentFilter{From: from})
	if err != nil {
		return nil, err
	}
	for i := range list {
		s := &list[i]
		scope := scopeOf(s)
		for j := range rows {
			inc := &rows[j]
			in := !inc.OpenedAt.Before(timeOf(s.Since)) && (s.EndedAt == nil || inc.OpenedAt.Before(*s.EndedAt)) &&
				s.State != silencePlanned
			if in && len(inc.Deliveries) == 0 && scope.Covers(router.FlowID{WABA: inc.WABA, Flow: inc.Flow}, inc.Event,
				inc.Labels) {
				held[s.ID] = append(held[s.ID], inc.Number)
			}
		}
		slices.Sort(held[s.ID])
	}
	return held, nil
}

func scopeOf(s *Silence) router.Scope {
	return router.Scope{WABA: s.WABA, Flow: s.Flow, Event: s.Event, Labels: s.Labels}
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
