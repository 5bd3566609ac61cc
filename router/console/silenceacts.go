package console

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

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
	if said, err := c.addSilenceOf(r, &next, 0); err != nil {
		return said, err
	}
	if _, err := c.endSilenceOf(r, s.ID); err != nil {
		return page{}, err
	}
	return page{SeeOther: "/silences", Said: done("Extended: it %s.",
		strings.TrimSuffix(strings.TrimPrefix(silenceWhen(&next, c.cfg.Now()), "It begins at once, and "), "."))}, nil
}
