package console

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// A new silence: the form of what it covers, the preview of that, and adding it.

// The words that stand where the id of a silence does: ids have ten characters.
const (
	silenceNew     = "new"
	silencePreview = "preview"
)

var silenceLengths = []option{{Value: "30m", Text: "30 minutes"}, {Value: "1h", Text: "1 hour"},
	{Value: "2h", Text: "2 hours"}, {Value: "4h", Text: "4 hours"},
	{Value: "8h", Text: "8 hours"}, {Value: "1d", Text: "1 day"}, {Value: "7d", Text: "1 week"},
	{Value: recovered, Text: "Until it has recovered"}}

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
	q, err := c.ofIncident(r, q)
	if err != nil {
		return page{}, err
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
	form := silenceFormView{Problems: problems, Incident: q.Get("incident"), Left: leftOf(q), Scope: []input{
		{Name: "flow", Label: "Flow", Hint: "Its name or id; empty for any.", Value: q.Get("flow"), Most: maxActor},
		{Name: "event", Label: "Signal", Type: "select", Options: choices(event, signals...)},
		{Name: "team", Label: "Team", Value: q.Get("team"), Most: maxActor},
		{Name: "labels", Label: "Other labels", Hint: "As in region=eu, tier=1.", Value: labelsIn(q), Most: maxWhy},
		{Name: "waba", Label: "Account", Hint: "WhatsApp Business Account, its name or id.", Value: q.Get("waba"),
			Most: maxActor},
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
	if form.Narrowed, form.Covers, err = c.coveredIn(r, q); err != nil {
		return page{}, err
	}
	shown := page{Title: "New silence", Template: "silence", Data: form}
	if len(problems) > 0 {
		shown.Status = http.StatusBadRequest
	}
	return shown, nil
}

// silenceFormView is what the form of a new silence shows.
type silenceFormView struct {
	Problems    []string
	Incident    string // that it began with, or ""
	Left        string // of the filter that it began with, what is no part of a silence; or ""
	Scope, Time []input
	Narrowed    bool     // it says what it covers
	Covers      []listed // of that, what is open now
}

// labelsIn returns the labels that a form or a filter of incidents asks for, as the form has them.
func labelsIn(q url.Values) string {
	var pairs []string
	if labels := q.Get("labels"); labels != "" {
		pairs = append(pairs, labels)
	}
	for _, key := range slices.Sorted(maps.Keys(q)) {
		if name, ok := strings.CutPrefix(key, labelKey); ok {
			pairs = append(pairs, name+"="+q.Get(key))
		}
	}
	return strings.Join(pairs, ", ")
}

// leftOf names the keys of a filter of incidents that a silence cannot have.
func leftOf(q url.Values) string {
	left := slices.DeleteFunc(slices.Sorted(maps.Keys(q)), func(key string) bool {
		return q.Get(key) == "" || !slices.Contains(notOfSilences, key)
	})
	for i, key := range left {
		if key == "q" {
			left[i] = "the search"
		}
	}
	if len(left) < 2 {
		return capital(strings.Join(left, ""))
	}
	return capital(strings.Join(left[:len(left)-1], ", ") + " and " + left[len(left)-1])
}

// notOfSilences are the keys of a filter of incidents that narrow it, and that a silence does not have.
var notOfSilences = []string{"severity", "q", "notifier", "rule", "from", "to", "subject", "subject_id", "silenced",
	"trouble"}

// ofIncident fills the form with the signal of the incident that it begins with, until somebody says something else.
func (c *Console) ofIncident(r *http.Request, q url.Values) (url.Values, error) {
	name := q.Get("incident")
	said := slices.ContainsFunc(silenceScope, func(key string) bool { return q.Get(key) != "" })
	if name == "" || said {
		return q, nil
	}
	inc, err := c.incident(r, httprouter.Params{{Key: "number", Value: name}})
	if err != nil {
		return nil, err
	}
	scope := inc.SilenceScope()
	return url.Values{"incident": {inc.Name()}, "flow": {scope.Flow}, "waba": {scope.WABA}, "event": {scope.Event},
		"for": q["for"], "why": q["why"]}, nil
}

// silenceScope are the fields that say what a silence covers.
var silenceScope = []string{"flow", "event", "team", "labels", "waba", "everything"}

// coveredIn lists what is open now of what a form covers, which may not be filled in yet.
func (c *Console) coveredIn(r *http.Request, q url.Values) (narrowed bool, lines []listed, err error) {
	asked, _ := askedIn(q)
	s, _ := c.silenceOf(&asked, c.cfg.Now().UTC())
	if s.Everything() || asked.Flow != "" && s.Flow == "" || asked.WABA != "" && s.WABA == "" { // none, or of several
		return false, nil, nil
	}
	open, err := c.unresolved(r, s.Flow)
	return err == nil, previewOf(open, &s.Scope), err
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

// silenceID is how ids of silences look. The preview chooses that of the one that it would add, so that a form which is
// sent twice adds one.
var silenceID = regexp.MustCompile(`^[a-z2-7]{10}$`)

// silencePreview shows what a silence would cover now, and adds it where it is posted.
func (c *Console) silencePreview(r *http.Request, q url.Values, add bool) (page, error) {
	now, who := c.cfg.Now().UTC(), callerOf(r)
	asked, problems := askedIn(q)
	s, more := c.silenceFor(&who, &asked, now)
	s.By = c.actorName(r)
	if id := q.Get("id"); silenceID.MatchString(id) {
		s.ID = id
	}
	if problems = append(problems, more...); len(problems) > 0 {
		return c.silenceForm(r, q, each(problems, func(text *string) string { return sentence(formWords.Replace(*text)) }))
	}
	sure := !s.Everything() || q.Get("sure") == "yes"
	if add && sure {
		return c.addFromForm(r, &s, q.Get("incident"))
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
	for _, name := range slices.Concat(silenceScope, []string{"for", "until", "start", "why", "incident"}) {
		form.Inputs = append(form.Inputs, input{Type: "hidden", Name: name, Value: q.Get(name)})
	}
	form.Inputs = append(form.Inputs, input{Type: "hidden", Name: "id", Value: s.ID})
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
	"Everything there is stands", "waba, flow, event, team or labels", "flow, signal, team, labels or account",
	"waba, flow, event, team and labels", "flow, signal, team, labels and account", "event: \"", "signal: \"",
	"is no event, such", "is no signal, such", "waba: \"", "account: \"")

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

// addFromForm adds a silence, and leads back to the incident that the form began with if it covers that.
func (c *Console) addFromForm(r *http.Request, s *router.Silence, name string) (page, error) {
	var number int64
	if name != "" {
		inc, err := c.incident(r, httprouter.Params{{Key: "number", Value: name}})
		if err != nil {
			return page{}, err
		}
		if s.Covers(router.FlowID{WABA: inc.WABA, Flow: inc.Flow}, inc.Event, inc.Labels) {
			number = inc.Number
		}
	}
	shown, err := c.addSilenceOf(r, s, number)
	if number > 0 {
		shown.SeeOther = incidentPath(number)
	}
	return shown, err
}

// addSilenceOf adds a silence that was asked for on a page, for the sake of an incident or of none, 0.
func (c *Console) addSilenceOf(r *http.Request, s *router.Silence, incident int64) (page, error) {
	known, err := c.silences(r)
	if err != nil {
		return page{}, err
	}
	if slices.ContainsFunc(known, func(k router.Silence) bool { return k.ID == s.ID }) {
		return page{SeeOther: "/silences", Said: flash{Text: "Nothing was done: this form was sent before.", Bad: true}}, nil
	}
	holding, err := c.store.Silences(r.Context())
	if err != nil {
		return page{}, err
	}
	if len(holding) >= router.MaxSilences {
		return page{}, refuse(http.StatusConflict, "there are %d silences already: end one first", len(holding))
	}
	came, err := c.say(r, router.Event{Name: router.AddSilence, Digest: "console/silence/" + s.ID,
		Act: &router.Act{Incident: incident, Actor: s.By, Silence: s}})
	if err != nil {
		return page{}, err
	}
	c.cfg.Logger.Info("a person adds a silence", "silence", s.ID, "by", s.By, "why", s.Why, "from", r.RemoteAddr)
	return page{SeeOther: "/silences", Said: done("%s", sentence(cmp.Or(came.Outcome, came.Note)))}, nil
}
