package console

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

const (
	// maxWhy bounds the reason that a person gives, in runes.
	maxWhy = 300
	// maxSilence bounds how long a silence holds: one for ever is a rule that says drop.
	minSilence, maxSilence = time.Minute, 366 * 24 * time.Hour
	// maxOpenSilence bounds a silence of everything by somebody of whom nothing is known: where no token is asked for, any
	// program on the machine may be the one who asks.
	maxOpenSilence = 24 * time.Hour
	// recently is how long a silence that has ended is listed.
	recently = 7 * 24 * time.Hour
	// recovered stands in the place of a time.
	recovered = "recovered"
)

// The states of a silence.
const (
	silenceActive  = "active"
	silencePlanned = "planned" // it begins later
	silenceEnded   = "ended"
)

// silenceStates are in the order of the list.
var silenceStates = []string{silenceActive, silencePlanned, silenceEnded}

// silences returns all that hold, and the newest of the others; newest first.
func (c *Console) silences(r *http.Request) ([]router.Silence, error) {
	holding, err := c.store.Silences(r.Context())
	if err != nil {
		return nil, err
	}
	known, err := c.store.AllSilences(r.Context(), maxLimit)
	if err != nil {
		return nil, err
	}
	for _, s := range holding { // an old one may have been pushed out by newer ones that have ended
		if !slices.ContainsFunc(known, func(k router.Silence) bool { return k.ID == s.ID }) {
			known = append(known, s)
		}
	}
	slices.SortStableFunc(known, func(a, b router.Silence) int { return b.Since.Compare(a.Since) })
	return known, nil
}

const wishUsage = `send {"flow": "...", "for": "4h", "by": "...", "why": "..."}: one or more of waba, flow, event, team, labels, ` +
	`or everything: true; for, or until with a time or "recovered"; and start, if it is to begin later`

// addSilence: POST /api/v1/silences
func (c *Console) addSilence(r *http.Request, _ httprouter.Params) (int, any, error) {
	var asked SilenceRequest
	if err := decode(r.Body, &asked); err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return 0, nil, err
		}
		why := strings.TrimPrefix(err.Error(), "json: ")
		return 0, nil, refuse(http.StatusBadRequest, "the body cannot be read (%s): %s", why, wishUsage)
	}
	now, who := c.cfg.Now().UTC(), callerOf(r)
	s, problems := c.silenceFor(&who, &asked, now)
	s.By = who.actor(asked.By)
	if len(problems) > 0 {
		return 0, nil, refuse(http.StatusBadRequest, "%s", strings.Join(problems, "; "))
	}
	holding, err := c.store.Silences(r.Context())
	if err != nil {
		return 0, nil, err
	}
	if len(holding) >= router.MaxSilences {
		return 0, nil, refuse(http.StatusConflict, "there are %d silences already: end one first", len(holding))
	}
	covers := []int64{}
	if !s.Planned(now) {
		if covers, err = c.covered(r, &s.Scope); err != nil {
			return 0, nil, err
		}
	}
	came, err := c.say(r, router.Event{Name: router.AddSilence, Act: &router.Act{Actor: s.By, Silence: &s}})
	if err != nil {
		return 0, nil, err
	}
	c.cfg.Logger.Info("a person adds a silence", "silence", s.ID, "by", s.By, "why", s.Why, "from", r.RemoteAddr)
	added := SilenceAdded{Silence: c.namedSilence(newSilence(&s, now)), Covers: covers, Queued: true, Result: came}
	added.Silence.Covers = covers
	return http.StatusAccepted, added, nil
}

// silenceFor is silenceOf for somebody who asks.
func (c *Console) silenceFor(who *caller, asked *SilenceRequest, now time.Time) (s router.Silence, problems []string) {
	s, problems = c.silenceOf(asked, now)
	if s.Everything() && asked.Everything && who.verified == router.VerifiedNot &&
		(s.UntilRecovered() || s.Until.Sub(now) > maxOpenSilence) {
		problems = append(problems,
			"everything: at most 24h where anybody on this machine may ask for it: say for, or until, or set "+
				"FLOWBRIDGE_ADMIN_TOKEN")
	}
	return s, problems
}

// silenceOf reads a request for a silence, and says all that is wrong with it.
func (c *Console) silenceOf(asked *SilenceRequest, now time.Time) (s router.Silence, problems []string) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	s = router.Silence{
		ID: strings.ToLower(rand.Text()[:10]), Since: now, Why: bounded(asked.Why, maxWhy),
		Scope: router.Scope{Event: strings.ToUpper(strings.TrimSpace(asked.Event)), Labels: asked.Labels},
	}
	var err error
	if s.WABA, err = c.accountID(strings.TrimSpace(asked.WABA)); err != nil {
		problem("waba: %v", err)
	}
	if s.Flow, err = c.flowID(strings.TrimSpace(asked.Flow)); err != nil {
		problem("flow: %v", err)
	}
	if s.Event != "" && !eventName.MatchString(s.Event) {
		problem("event: %q is no event, such as %s", asked.Event, router.EndpointErrorRate)
	}
	if asked.Team != "" {
		if other, ok := s.Labels["team"]; ok && other != asked.Team {
			problem("team is %q, and in labels %q", asked.Team, other)
		}
		if s.Labels == nil {
			s.Labels = map[string]string{}
		}
		s.Labels["team"] = asked.Team
	}
	for key, value := range s.Labels {
		if key == "" || value == "" { // a flow without the label would have the value ""
			problem("labels: give each label a name and a value")
			break
		}
	}
	problems = append(problems, c.cfg.Misnamed(&s.Scope)...)
	narrow := asked.WABA != "" || asked.Flow != "" || s.Event != "" || len(s.Labels) > 0
	switch {
	case !narrow && !asked.Everything:
		problem("this would silence everything: narrow it by waba, flow, event, team or labels, or say everything: true")
	case narrow && asked.Everything:
		problem("everything: true stands alone: leave out waba, flow, event, team and labels")
	}
	if s.Start, err = start(asked, now); err != nil {
		problem("%v", err)
	}
	if !s.Start.IsZero() {
		s.Since = s.Start
	}
	if s.Until, err = until(asked, s.Since); err != nil {
		problem("%v", err)
	}
	return s, problems
}

// eventName is how Meta writes events, and we the fields of the account.
var eventName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{1,79}$`)

// flowID returns the id of a flow that a person named.
func (c *Console) flowID(name string) (string, error) {
	if name == "" || c.cfg.FlowIDs == nil {
		return name, nil
	}
	switch ids := c.cfg.FlowIDs(name); {
	case len(ids) == 1:
		return ids[0], nil
	case len(ids) > 1:
		return "", fmt.Errorf("%q is the name of %d flows: give the id, one of %s", name, len(ids), strings.Join(ids, ", "))
	case strings.Trim(name, "0123456789") == "", router.OnlyFlow(name) == "":
		return name, nil // an id that the rules file does not name, or the key of another subject
	}
	return "", fmt.Errorf("the rules name no flow %q: give its id", name)
}

// accountID returns the id of an account that a person named. A name that the rules do not know stays as it is:
// Misnamed says so.
func (c *Console) accountID(name string) (string, error) {
	switch ids := c.cfg.AccountIDs(name); {
	case len(ids) == 1:
		return ids[0], nil
	case len(ids) > 1:
		return "", fmt.Errorf("%q is the name of %d accounts: give the id, one of %s", name, len(ids),
			strings.Join(ids, ", "))
	}
	return name, nil
}

// start returns when a silence begins that is to begin later; the zero time for one that begins at once.
func start(asked *SilenceRequest, now time.Time) (time.Time, error) {
	if asked.Start == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, asked.Start)
	if d, ok := router.ParseDuration(asked.Start); ok && d > 0 {
		t, err = now.Add(d), nil
	}
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf(
			"start: %q is neither an RFC 3339 time, such as 2026-03-02T08:00:00Z, nor a time from now, such as 2h", asked.Start)
	case !t.After(now):
		return time.Time{}, fmt.Errorf("start: %s is past: leave it out to begin at once", asked.Start)
	case t.Sub(now) > maxSilence:
		return time.Time{}, fmt.Errorf("start: %s is more than 366 days away", asked.Start)
	}
	return t.UTC(), nil
}

// until returns when a silence that begins at a time ends; the zero time for one that holds until recovery.
func until(asked *SilenceRequest, begins time.Time) (time.Time, error) {
	switch {
	case asked.For != "" && asked.Until != "":
		return time.Time{}, errors.New("for and until exclude each other: give one of them")
	case asked.For != "":
		d, ok := router.ParseDuration(asked.For)
		if !ok || d < minSilence || d > maxSilence {
			return time.Time{}, fmt.Errorf("for: %q is no duration from 1m to 366d, such as 30m, 4h or 2d", asked.For)
		}
		return begins.Add(d), nil
	case asked.Until == recovered:
		return time.Time{}, nil
	case asked.Until != "":
		t, err := time.Parse(time.RFC3339, asked.Until)
		switch {
		case err != nil:
			return time.Time{}, fmt.Errorf(
				`until: %q is neither an RFC 3339 time, such as 2026-03-02T08:00:00Z, nor "recovered"`, asked.Until)
		case !t.After(begins) && asked.Start != "":
			return time.Time{}, fmt.Errorf("until: %s is not after start", asked.Until)
		case !t.After(begins):
			return time.Time{}, fmt.Errorf("until: %s is past", asked.Until)
		case t.Sub(begins) > maxSilence:
			return time.Time{}, fmt.Errorf("until: %s is more than 366 days away", asked.Until)
		}
		return t.UTC(), nil
	}
	return time.Time{}, errors.New(`say how long: for (30m, 4h, 2d), or until with a time or "recovered"`)
}

// namedSilence gives a silence the names of its flow and its account.
func (c *Console) namedSilence(s Silence) Silence {
	if s.WABA != "" {
		s.AccountName = c.cfg.AccountName(s.WABA)
	}
	if s.Flow != "" {
		s.FlowName = c.cfg.FlowName(s.Flow)
	}
	return s
}

// cover fills in what silences that hold cover now.
func (c *Console) cover(r *http.Request, silences []Silence) error {
	if !slices.ContainsFunc(silences, func(s Silence) bool { return s.State == silenceActive }) {
		return nil
	}
	open, err := c.unresolved(r, "")
	if err != nil {
		return err
	}
	for i := range silences {
		if s := &silences[i]; s.State == silenceActive {
			s.Covers = coveredOf(open, &router.Scope{WABA: s.WABA, Flow: s.Flow, Event: s.Event, Labels: s.Labels})
		}
	}
	return nil
}

// covered returns the unresolved incidents with an alert that a scope covers, by number.
func (c *Console) covered(r *http.Request, scope *router.Scope) ([]int64, error) {
	open, err := c.unresolved(r, scope.Flow)
	return coveredOf(open, scope), err
}

// unresolved returns the incidents that are not resolved, of a flow, or of all for ""; router.MaxListed at most.
func (c *Console) unresolved(r *http.Request, flow string) ([]router.IncidentRow, error) {
	open, _, err := c.everyIncident(r, router.IncidentFilter{Active: true, Flow: flow})
	return open, err
}

// everyIncident reads a list to its end: see router.EveryIncident.
func (c *Console) everyIncident(r *http.Request, f router.IncidentFilter) ([]router.IncidentRow, bool, error) {
	return router.EveryIncident(f, func(f router.IncidentFilter) ([]router.IncidentRow, error) {
		return c.store.IncidentRows(r.Context(), f)
	})
}

// coveredOf returns those of some incidents with an alert that a scope covers, by number.
func coveredOf(open []router.IncidentRow, scope *router.Scope) []int64 {
	numbers := []int64{}
	for i := range open {
		inc := &open[i]
		if slices.ContainsFunc(inc.Alerts, func(a router.Alert) bool {
			return a.Counts() && scope.Covers(router.FlowID{WABA: inc.WABA, Flow: inc.Flow}, a.Event, inc.Labels)
		}) {
			numbers = append(numbers, inc.Number)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// endSilence: DELETE /api/v1/silences/{id}
func (c *Console) endSilence(r *http.Request, p httprouter.Params) (int, any, error) {
	actor, err := actorOf(r)
	if err != nil {
		return 0, nil, err
	}
	id := p.ByName("id")
	known, err := c.silences(r)
	if err != nil {
		return 0, nil, err
	}
	now := c.cfg.Now()
	if at := slices.IndexFunc(known, func(s router.Silence) bool { return s.ID == id }); at >= 0 {
		if newSilence(&known[at], now).State == silenceEnded {
			return http.StatusOK, SilenceEnded{Silence: id}, nil
		}
	} else if waits, err := c.unfolded(r, id); err != nil {
		return 0, nil, err
	} else if !waits {
		return 0, nil, refuse(http.StatusNotFound, "there is no silence %q", id)
	}
	came, err := c.say(r, router.Event{Name: router.EndSilence,
		Act: &router.Act{Actor: actor, Silence: &router.Silence{ID: id}}})
	if err != nil {
		return 0, nil, err
	}
	c.cfg.Logger.Info("a person ends a silence", "silence", id, "by", actor, "from", r.RemoteAddr)
	return http.StatusAccepted, SilenceEnded{Silence: id, Queued: true, Result: came}, nil
}

// unfolded says whether a silence is in the journal, and the fold has not come to it yet.
func (c *Console) unfolded(r *http.Request, id string) (bool, error) {
	waiting, err := c.store.Events(r.Context(), router.EventWaiting, maxLimit)
	return slices.ContainsFunc(waiting, func(e router.JournalEvent) bool {
		return e.Name == router.AddSilence && e.Act != nil && e.Act.Silence != nil && e.Act.Silence.ID == id
	}), err
}

func newSilence(s *router.Silence, now time.Time) Silence {
	out := Silence{
		ID: s.ID, State: silenceActive, WABA: s.WABA, Flow: s.Flow, Event: s.Event, Labels: s.Labels,
		Everything: s.Everything(), Covers: []int64{},
		Since: moment(s.Since), Until: moment(s.Until), UntilRecovered: s.UntilRecovered(), By: s.By, Why: s.Why,
	}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	switch {
	case !s.Ended.IsZero():
		out.State, out.EndedAt = silenceEnded, moment(s.Ended)
	case s.Over(now):
		out.State, out.EndedAt = silenceEnded, moment(s.Until)
	case s.Planned(now):
		out.State = silencePlanned
	}
	return out
}
