package console

import (
	"cmp"
	"fmt"
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

// The words that stand where the id of a silence does: ids have ten characters.
const (
	silenceNew     = "new"
	silencePreview = "preview"
)

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

var silenceLengths = []option{{Value: "30m", Text: "30 minutes"}, {Value: "1h", Text: "1 hour"},
	{Value: "2h", Text: "2 hours"}, {Value: "4h", Text: "4 hours"},
	{Value: "8h", Text: "8 hours"}, {Value: "1d", Text: "1 day"}, {Value: "7d", Text: "1 week"},
	{Value: recovered, Text: "Until it has recovered"}}

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
	rows, err := c.store.IncidentRows(r.Context(), router.IncidentFilter{From: from, Limit: maxLimit})
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

// silenceForms: GET /silences/new and /silences/preview
func (c *Console) silenceForms(r *http.Request, p httprouter.Params) (page, error) {
	q := r.URL.Query()
	switch p.ByName("id") {
	case silenceNew:
		return c.silenceForm(r, q, nil)
	case silencePreview:
		return c.silencePreview(r, q, false)
	}
	return page{}, refuse(http.StatusNotFound, "there is nothing at %s", r.URL.Path)
}

// postSilence: POST /silences/preview
func (c *Console) postSilence(r *http.Request, p httprouter.Params) (page, error) {
	if p.ByName("id") != silencePreview {
		return page{}, refuse(http.StatusNotFound, "there is nothing at %s", r.URL.Path)
	}
	return c.silencePreview(r, r.PostForm, true)
}

// silenceForm is the form of a new silence; what it is to cover may be given in the address, also as the filter of
// incidents.
func (c *Console) silenceForm(r *http.Request, q url.Values, problems []string) (page, error) {
	if name := q.Get("incident"); name != "" {
		inc, err := c.incident(r, httprouter.Params{{Key: "number", Value: name}})
		if err != nil {
			return page{}, err
		}
		q = url.Values{"flow": {inc.Flow}, "waba": {inc.WABA}, "event": {inc.Event}, "for": q["for"]}
	}
	event := cmp.Or(q.Get("event"), q.Get("signal"))
	signals := []option{{Text: "Any"}}
	for _, s := range router.Signals() {
		if len(s.Levels) > 0 || s.AnyLevel {
			signals = append(signals, option{Value: s.Name, Text: router.SignalName(s.Name)})
		}
	}
	if event != "" && !slices.ContainsFunc(signals, func(o option) bool { return o.Value == event }) {
		signals = append(signals, option{Value: bounded(event, maxActor), Text: router.SignalName(bounded(event, maxActor))})
	}
	form := silenceFormView{Problems: problems, Scope: []input{
		{Name: "flow", Label: "Flow", Hint: "Its name or id; empty for any.", Value: q.Get("flow"), Most: maxActor},
		{Name: "event", Label: "Signal", Type: "select", Options: choices(event, signals...)},
		{Name: "team", Label: "Team", Value: q.Get("team"), Most: maxActor},
		{Name: "labels", Label: "Other labels", Hint: "As in region=eu, tier=1.", Value: q.Get("labels"), Most: maxWhy},
		{Name: "waba", Label: "Account", Hint: "WhatsApp Business Account, its id.", Value: q.Get("waba"), Most: maxActor},
		{Name: "everything", Label: "Everything there is",
			Hint: "Then leave the fields above empty. You are asked once more.", Type: "check",
			Checked: q.Get("everything") == "yes"},
	}, Time: []input{
		{Name: "for", Label: "For how long", Type: "select", Options: choices(cmp.Or(q.Get("for"), "1h"),
			append(slices.Clone(silenceLengths), option{Value: "until", Text: "Until the time below"})...)},
		{Name: "until", Label: "Until (UTC)", Hint: "Where no length is chosen.", Type: "datetime-local",
			Value: q.Get("until")},
		{Name: "start", Label: "Begins (UTC)", Hint: "Empty: at once.", Type: "datetime-local", Value: q.Get("start")},
		{Name: "why", Label: "Why", Hint: "Others will ask. Shown on cards and in the list.", Required: true, Most: maxWhy,
			Value: q.Get("why")},
	}}
	shown := page{Title: "New silence", Template: "silence", Data: form}
	if len(problems) > 0 {
		shown.Status = http.StatusBadRequest
	}
	return shown, nil
}

// silenceFormView is what the form of a new silence shows.
type silenceFormView struct {
	Problems    []string
	Scope, Time []input
}

// askedIn reads the form of a new silence.
func askedIn(q url.Values) (asked SilenceRequest, problems []string) {
	get := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	asked = SilenceRequest{Flow: get("flow"), WABA: get("waba"), Event: get("event"), Team: get("team"),
		Everything: q.Get("everything") == "yes",
		For:        get("for"), Until: get("until"), Start: get("start"), Why: bounded(q.Get("why"), maxWhy),
		Labels: map[string]string{}}
	for pair := range strings.SplitSeq(get("labels"), ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		if !ok || len(asked.Labels) >= maxLabels {
			problems = append(problems, fmt.Sprintf("labels: write at most %d as in region=eu, not %q", maxLabels,
				bounded(pair, maxActor)))
			break
		}
		asked.Labels[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	switch asked.For {
	case recovered:
		asked.For, asked.Until = "", recovered
	case "until", "":
		asked.For = ""
	default: // a length was chosen: the time that may stand beside it is not asked for
		asked.Until = ""
	}
	asked.Until, asked.Start = fromPicker(asked.Until), fromPicker(asked.Start)
	if asked.Why == "" {
		problems = append(problems, "say why: others will ask")
	}
	return asked, problems
}

// maxLabels bounds the labels of one silence.
const maxLabels = 10

// fromPicker makes an RFC 3339 time of what a picker of times writes, which has no zone: the form says that it is UTC.
func fromPicker(value string) string {
	for _, form := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(form, value); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return value
}

// silencePreview shows what a silence would cover now, and adds it where it is posted.
func (c *Console) silencePreview(r *http.Request, q url.Values, add bool) (page, error) {
	now, who := c.cfg.Now().UTC(), callerOf(r)
	asked, problems := askedIn(q)
	s, more := c.silenceFor(&who, &asked, now)
	s.By = c.actorName(r)
	if problems = append(problems, more...); len(problems) > 0 {
		return c.silenceForm(r, q, each(problems, func(text *string) string { return sentence(formWords.Replace(*text)) }))
	}
	sure := !s.Everything() || q.Get("sure") == "yes"
	if add && sure {
		return c.addSilenceOf(r, &s)
	}
	open, err := c.unresolved(r, s.Flow)
	if err != nil {
		return page{}, err
	}
	shown := c.namedSilence(newSilence(&s, now))
	form := confirmation{Title: "Silence: " + coveredWords(&shown), About: "Why: " + s.Why, Button: "Silence",
		Back: "/silences/" + silenceNew + queryOf(q),
		What: []string{"Nobody is told of new trouble that it covers. Recoveries are told all the same, and who was told " +
			"before stays told."}, Grave: s.Everything()}
	form.What = append(form.What, silenceWhen(&s, now),
		"When it ends, who should have been told of what is still open is told then.")
	form.List, form.ListTitle = previewOf(open, &s.Scope), "What it covers now"
	form.ListNone = "No open incident. If you expected one, look at the filter again."
	for _, name := range []string{"flow", "event", "team", "labels", "waba", "everything", "for", "until", "start",
		"why"} {
		form.Inputs = append(form.Inputs, input{Type: "hidden", Name: name, Value: q.Get(name)})
	}
	if s.Everything() {
		check := input{Type: "check", Name: "sure", Label: "Yes: silence everything, for every team", Required: true}
		if add {
			check.Wrong = "Nothing was done: tick this if you mean it."
		}
		form.What = append(form.What,
			"This covers everything, of every flow, account and team. The fallback notifier is told so.")
		form.Inputs = append(form.Inputs, check)
	}
	preview := confirm(form)
	if add {
		preview.Status = http.StatusBadRequest
	}
	return preview, nil
}

// silenceWhen says from when to when a silence holds.
func silenceWhen(s *router.Silence, now time.Time) string {
	const form = "2006-01-02 15:04 UTC"
	begins, ends := "It begins at once", "ends once nothing that it covers is wrong any more."
	if s.Since.After(now) {
		begins = "It begins at " + s.Since.UTC().Format(form)
	}
	if !s.UntilRecovered() {
		ends = "ends at " + s.Until.UTC().Format(form) + ", after " + router.FormatDuration(s.Until.Sub(s.Since)) + "."
	}
	return begins + ", and " + ends
}

// formWords says as the form does what the API's refusals say as its keys are written.
var formWords = strings.NewReplacer("say everything: true", "tick Everything there is", "everything: true stands",
	"Everything there is stands")

// mostPreviewed bounds the incidents that a preview lists.
const mostPreviewed = 50

// previewOf lists the incidents that a scope covers.
func previewOf(open []router.IncidentRow, scope *router.Scope) (lines []listed) {
	numbers := coveredOf(open, scope)
	for i := range open {
		inc := &open[i]
		if slices.Contains(numbers, inc.Number) {
			lines = append(lines, listed{Path: incidentPath(inc.Number), Name: inc.Name(), Text: inc.What(),
				Severity: inc.Severity.String()})
		}
	}
	slices.SortFunc(lines, func(a, b listed) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), strings.Compare(a.Name, b.Name))
	})
	if n := len(lines); n > mostPreviewed {
		lines = append(lines[:mostPreviewed], listed{Text: fmt.Sprintf("and %d more", n-mostPreviewed)})
	}
	return lines
}

// addSilenceOf adds a silence that was asked for on a page.
func (c *Console) addSilenceOf(r *http.Request, s *router.Silence) (page, error) {
	holding, err := c.store.Silences(r.Context())
	if err != nil {
		return page{}, err
	}
	if len(holding) >= router.MaxSilences {
		return page{}, refuse(http.StatusConflict, "there are %d silences already: end one first", len(holding))
	}
	came, err := c.say(r, router.Event{Name: router.AddSilence, Act: &router.Act{Actor: s.By, Silence: s}})
	if err != nil {
		return page{}, err
	}
	c.cfg.Logger.Info("a person adds a silence", "silence", s.ID, "by", s.By, "why", s.Why, "from", r.RemoteAddr)
	return page{SeeOther: "/silences", Said: done("%s", sentence(cmp.Or(came.Outcome, came.Note)))}, nil
}

// silenceNamed returns the silence of a path, with what it covers now.
func (c *Console) silenceNamed(r *http.Request, p httprouter.Params) (s router.Silence, shown Silence, err error) {
	known, err := c.silences(r)
	if err != nil {
		return s, shown, err
	}
	at := slices.IndexFunc(known, func(s router.Silence) bool { return s.ID == p.ByName("id") })
	if at < 0 {
		return s, shown, refuse(http.StatusNotFound, "there is no silence %q", bounded(p.ByName("id"), maxActor))
	}
	list := []Silence{c.namedSilence(newSilence(&known[at], c.cfg.Now()))}
	err = c.cover(r, list)
	return known[at], list[0], err
}

// confirmEnd: GET /silences/{id}/end
func (c *Console) confirmEnd(r *http.Request, p httprouter.Params) (page, error) {
	_, shown, err := c.silenceNamed(r, p)
	if err != nil {
		return page{}, err
	}
	form := confirmation{Title: "End the silence: " + coveredWords(&shown), About: "Why it is there: " +
		cmp.Or(shown.Why, "nobody said"), Button: "End it", Back: "/silences"}
	switch {
	case shown.State == silenceEnded:
		form.Cannot = "It has ended."
	case len(shown.Covers) > 0:
		form.What = []string{"Who should have been told of what is still open is told now: " + namesOf(shown.Covers) + "."}
	case shown.State == silencePlanned:
		form.What = []string{"It has not begun: nothing changes now."}
	default:
		form.What = []string{"It covers no open incident: nobody is told of anything now."}
	}
	return confirm(form), nil
}

// namesOf lists incidents by their names.
func namesOf(numbers []int64) string {
	names := make([]string, len(numbers))
	for i, n := range numbers {
		names[i] = router.IncidentName(n)
	}
	return strings.Join(names, ", ")
}

// postEnd: POST /silences/{id}/end
func (c *Console) postEnd(r *http.Request, p httprouter.Params) (page, error) {
	s, shown, err := c.silenceNamed(r, p)
	if err != nil {
		return page{}, err
	}
	if shown.State == silenceEnded {
		return page{SeeOther: "/silences", Said: flash{Text: "Nothing was done: it has ended.", Bad: true}}, nil
	}
	came, err := c.endSilenceOf(r, s.ID)
	return page{SeeOther: "/silences", Said: done("%s", sentence(cmp.Or(came.Outcome, came.Note)))}, err
}

func (c *Console) endSilenceOf(r *http.Request, id string) (Result, error) {
	by := c.actorName(r)
	came, err := c.say(r, router.Event{Name: router.EndSilence,
		Act: &router.Act{Actor: by, Silence: &router.Silence{ID: id}}})
	if err == nil {
		c.cfg.Logger.Info("a person ends a silence", "silence", id, "by", by, "from", r.RemoteAddr)
	}
	return came, err
}

// confirmExtend: GET /silences/{id}/extend
func (c *Console) confirmExtend(r *http.Request, p httprouter.Params) (page, error) {
	_, shown, err := c.silenceNamed(r, p)
	if err != nil {
		return page{}, err
	}
	return extendForm(&shown, ""), nil
}

func extendForm(shown *Silence, wrong string) page {
	form := confirmation{Title: "Extend the silence: " + coveredWords(shown), About: "Why it is there: " +
		cmp.Or(shown.Why, "nobody said"), Button: "Extend it", Back: "/silences",
		What: []string{
			"A silence of the same takes its place without a gap, and this one ends. Nobody is told of anything by that."},
		Inputs: []input{{Name: "for", Label: "It ends, counted from now,", Type: "select",
			Options: choices("4h", silenceLengths...), Wrong: wrong}}}
	switch {
	case shown.State == silenceEnded:
		form.Cannot = "It has ended: repeat it instead."
	case shown.State == silencePlanned:
		form.Cannot = "It has not begun: end it, and make another."
	case shown.UntilRecovered:
		form.Cannot = "It holds until what it covers has recovered: there is nothing to extend."
	}
	shownPage := confirm(form)
	if wrong != "" {
		shownPage.Status = http.StatusBadRequest
	}
	return shownPage
}

// postExtend: POST /silences/{id}/extend. The new one comes first, so that nothing is told in between.
func (c *Console) postExtend(r *http.Request, p httprouter.Params) (page, error) {
	s, shown, err := c.silenceNamed(r, p)
	if err != nil {
		return page{}, err
	}
	if shown.State != silenceActive || shown.UntilRecovered {
		return page{SeeOther: "/silences", Said: flash{Text: "Nothing was done: it cannot be extended now.", Bad: true}}, nil
	}
	who := callerOf(r)
	asked := SilenceRequest{WABA: s.WABA, Flow: s.Flow, Event: s.Event, Labels: s.Labels, Everything: s.Everything(),
		For: r.PostForm.Get("for"), Why: s.Why}
	if asked.For == recovered {
		asked.For, asked.Until = "", recovered
	}
	next, problems := c.silenceFor(&who, &asked, c.cfg.Now().UTC())
	switch {
	case len(problems) > 0:
		return extendForm(&shown, sentence(strings.Join(problems, "; "))), nil
	case !next.UntilRecovered() && !next.Until.After(s.Until):
		return extendForm(&shown, "It holds longer than that already."), nil
	}
	next.By = c.actorName(r)
	if said, err := c.addSilenceOf(r, &next); err != nil {
		return said, err
	}
	if _, err := c.endSilenceOf(r, s.ID); err != nil {
		return page{}, err
	}
	return page{SeeOther: "/silences", Said: done("Extended: it %s.",
		strings.TrimSuffix(strings.TrimPrefix(silenceWhen(&next, c.cfg.Now()), "It begins at once, and "), "."))}, nil
}
