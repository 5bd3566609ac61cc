package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// Promises that are looked at all the time, by their names; what breaks one first is kept.
const (
	partialRecovery = "a partial recovery closes nothing that an active alert still routes to the same target"
	noLongWait      = "no answer keeps anybody waiting for longer than minutes"
	noPark          = "only a service's own refusal, or an hour of failing, parks a delivery"
	oldAct          = "an act on an old incident of PagerDuty's changes no newer one of ours"
	noPersonsAct    = "what PagerDuty does by itself closes and acknowledges nothing"
	actsInOrder     = "an act that is older than the newest of its kind changes nothing"
	earlySilence    = "a silence until recovered holds while anything that it covers is wrong"
	comesToRest     = "it comes to rest once the trouble has ended"
	reminded        = "what nobody has is told again as often as the rules ask, and nothing else is"
	followedUp      = "an acknowledgement that nobody follows up ends when the rules say"
	flapIsOne       = "what comes back within resolve_after of its recovery opens nothing new, however late both arrive"
)

// breaks notes that a promise is broken.
func (w *world) breaks(promise, format string, args ...any) {
	if w.broken[promise] == nil {
		w.broken[promise] = fmt.Errorf("at %s: "+format, append([]any{w.now.Format("15:04:05")}, args...)...)
		w.say("!! %s: %v", promise, w.broken[promise])
	}
}

// kept says whether a promise was.
func kept(promise string) func(*world) error {
	return func(w *world) error { return w.broken[promise] }
}

// life is what the test remembers of an incident of ours.
type life struct {
	needs []need // openings of its pages
	rises []need // when its severity rose, by Meta's clock
}

// need is something that must have paged somebody.
type need struct {
	at       time.Time
	why      string
	page     int64           // of a second page: which
	severity router.Severity // of a rise: to what
}

func (w *world) lifeOf(incident int64) *life {
	if w.life[incident] == nil {
		w.life[incident] = &life{}
	}
	return w.life[incident]
}

func (w *world) mustPage(incident int64, n need) {
	l := w.lifeOf(incident)
	l.needs = append(l.needs, n)
}

// noteEffect looks at what an event did to an incident.
func (w *world) noteEffect(e *router.Event, entry *router.Entry) {
	if entry.Kind == router.EntryOpened {
		w.noteFlap(e)
	}
	if e.Act == nil || !slices.Contains([]router.EntryKind{router.EntryAcknowledged, router.EntryUnacknowledged,
		router.EntryResolved, router.EntryReopened}, entry.Kind) {
		return
	}
	if kind := fmt.Sprintf("%d/%s", entry.Incident, kindOfAct(e.Name)); e.At.Before(w.newest[kind]) {
		w.breaks(actsInOrder, "%s of %s took effect, and one of %s was known", e.Name,
			e.At.Format("15:04:05"), w.newest[kind].Format("15:04:05"))
	}
	d, heard := w.heardOf[e.Digest]
	if !heard {
		return
	}
	if owners := w.owners[d.page]; len(owners) > 0 && !slices.Contains(owners, entry.Incident) {
		w.breaks(oldAct, "%s of #%d, which belongs to INC-%d, changed INC-%d", e.Name, d.page, owners[0], entry.Incident)
	}
	if !d.person && e.Name != router.Unacknowledge {
		w.breaks(noPersonsAct, "%s of #%d changed INC-%d: %s", e.Name, d.page, entry.Incident, entry.Text)
	}
}

// resolveAfter is how long the rules that wait hold a recovery back.
const resolveAfter = 3 * time.Minute

// acknowledgedFor is how long an acknowledgement lasts by the rules that remind, and remindEvery how often they do:
// more often, so that a reminder of what somebody has would be due.
const acknowledgedFor, remindEvery = 20 * time.Minute, 15 * time.Minute

// noteForgotten looks, once nothing is due, whether something stands for longer than the rules let it. Whatever the
// timeline says counts as a sign of life, so that only what is certain is found.
func (w *world) noteForgotten() {
	ctx := context.Background()
	open, err := w.store.Incidents(ctx, router.IncidentFilter{Active: true})
	w.must(err)
	silences, err := w.store.Silences(ctx)
	w.must(err)
	for i := range open {
		inc := &open[i]
		active := slices.ContainsFunc(inc.Alerts, func(a router.Alert) bool { return a.Active })
		watched := slices.ContainsFunc(inc.Watch, func(v router.Watch) bool { return v.Open && v.PagedAt == 0 })
		silenced := slices.ContainsFunc(silences, func(s router.Silence) bool { return covered(&s, &inc.Incident) })
		if !active || silenced || inc.Silence.ID != "" {
			continue
		}
		last, times := inc.OpenedAt, 0
		for k := range inc.Timeline {
			e := &inc.Timeline[k]
			last = later(last, later(e.At, e.Recorded))
			if reminds(e) {
				times++
			}
		}
		switch stood := w.now.Sub(last); {
		case inc.State == router.IncidentAcknowledged && stood > acknowledgedFor:
			w.breaks(followedUp, "%s is acknowledged, and nothing was heard of it for %s", inc.Name(), stood)
		case inc.State == router.IncidentOpen && watched && stood > remindEvery && times < 48:
			w.breaks(reminded, "nobody has %s, and nobody was told of it for %s", inc.Name(), stood)
		case inc.State == router.IncidentOpen:
			w.noteHeld(inc)
		}
	}
}

// noteHeld looks whether PagerDuty, which was told of all, holds what nobody has as acknowledged since before it opened
// again: then nobody was notified. Of an acknowledgement whose webhook is on its way nobody here can know.
func (w *world) noteHeld(inc *router.IncidentDetail) {
	if slices.ContainsFunc(inc.Deliveries, func(d router.Delivery) bool { return d.State != router.DeliveryDelivered }) {
		return
	}
	var last need
	for _, n := range w.needsOf(&inc.Incident) {
		if n.at.After(last.at) {
			last = n
		}
	}
	held, free := time.Time{}, false
	for _, page := range w.pager.Incidents() {
		switch {
		case page.DedupKey != inc.Key && !strings.HasPrefix(page.DedupKey, inc.Key+"/"), page.Number <= w.earlier,
			slices.ContainsFunc(w.unheard, func(h hook) bool {
				return h.act.page == page.Number && h.act.name == router.Acknowledge
			}):
		case page.Status == sandbox.IncidentTriggered:
			free = true
		case page.Status == sandbox.IncidentAcknowledged:
			held = later(held, w.pageAcked[page.Number])
		}
	}
	if !free && !held.IsZero() && held.Before(last.at) {
		w.breaks(followedUp, "%s: %s at %s, and PagerDuty holds it as acknowledged since %s", inc.Name(), last.why,
			last.at.Format("15:04:05"), held.Format("15:04:05"))
	}
}

// noteReminders looks whether a batch reminds of what somebody has, or what is over or silenced, unless that came to be
// so after it in the same batch.
func (w *world) noteReminders(b *router.Batch) {
	for i := range b.Incidents {
		inc, again := &b.Incidents[i], false
		for _, e := range b.Entries {
			if e.Incident == inc.Number {
				again = e.Kind == router.EntryReminded
			}
		}
		if again && (inc.State != router.IncidentOpen || inc.Silence.ID != "") {
			w.breaks(reminded, "%s is %s, silenced by %q, and was told again", inc.Name(), inc.State, inc.Silence.ID)
		}
	}
}

// noteFlap looks whether what opens an incident came back within the hold of a recovery that arrived just before.
func (w *world) noteFlap(e *router.Event) {
	if !w.has(withTimed) || e.AlertState != router.Activated {
		return
	}
	last, ok := router.Event{}, false
	arrival := slices.IndexFunc(w.journal, func(other router.Event) bool { return other.Digest == e.Digest })
	for _, before := range inOrder(w.journal[:arrival]) { // a recovery that arrives after it can hold nothing back
		same := keyOfEvent(&before) == keyOfEvent(e) && level(&before) == level(e)
		if same && !before.At.After(e.At) {
			last, ok = before, true
		}
	}
	arrived := e.Received.Sub(last.Received)
	flapped := ok && last.AlertState == router.Deactivated && e.At.Sub(last.At) < resolveAfter
	// What a person has resolved has nothing to hold back, whenever what arrives after that had happened.
	if flapped && arrived >= 0 && arrived <= 10*time.Second && w.wasOpen(&last) &&
		!w.resolvedByHand(keyOfEvent(e), e.Received) {
		w.breaks(flapIsOne, "%s recovered at %s and was back at %s, and both arrived at %s",
			keyOfEvent(e), last.At.Format("15:04:05"), e.At.Format("15:04:05"), e.Received.Format("15:04:05"))
	}
}

// resolvedByHand says whether somebody, or PagerDuty by itself, resolved anything with a key by a time.
func (w *world) resolvedByHand(key string, by time.Time) bool {
	pages := w.pager.Incidents()
	return slices.ContainsFunc(w.acts, func(d personAct) bool {
		if d.name != router.Resolve || d.at.After(by) {
			return false
		}
		if d.page != 0 {
			return pages[d.page-1].DedupKey == key
		}
		inc := w.incident(d.incident)
		return inc != nil && inc.Key == key
	})
}

// notePageNow notes that a person wanted somebody paged, who is at nothing.
func (w *world) notePageNow(b *router.Batch) {
	for _, o := range b.Outcomes {
		e := w.seqs[o.Seq]
		if e.Name != router.PageNow || e.Act == nil || len(b.Outcomes) > 1 || w.has(withHooks|withShuffled|withItself) {
			continue
		}
		inc := w.incident(e.Act.Incident)
		if inc != nil && inc.State == router.IncidentOpen && slices.ContainsFunc(inc.Pageable, isPager) {
			w.outside[inc.Key]++
			w.mustPage(inc.Number, need{at: e.At, why: "a person wanted somebody paged"})
		}
	}
}

func (w *world) incident(number int64) *router.Incident {
	all, err := w.store.Incidents(context.Background(), router.IncidentFilter{})
	w.must(err)
	for i := range all {
		if all[i].Number == number {
			return &all[i].Incident
		}
	}
	return nil
}

// noteSilences looks at silences that began or ended by themselves.
func (w *world) noteSilences(b *router.Batch) {
	if len(b.Silences) == 0 {
		return
	}
	unresolved, err := w.unresolved()
	w.must(err)
	for _, s := range b.Silences {
		if !s.UntilRecovered() {
			continue
		}
		byHand := slices.ContainsFunc(b.Outcomes, func(o router.Outcome) bool {
			e := w.seqs[o.Seq]
			return e.Name == router.EndSilence && e.Act.Silence.ID == s.ID
		})
		covers := slices.IndexFunc(unresolved, func(inc router.Incident) bool { return covered(&s, &inc) })
		// by the same batch, so perhaps after the end
		opened := covers >= 0 && slices.ContainsFunc(b.Entries, func(e router.Entry) bool {
			return e.Incident == unresolved[covers].Number && (e.Kind == router.EntryOpened || e.Kind == router.EntryReopened)
		})
		switch {
		case s.Ended.IsZero() && covers >= 0:
			w.awaited[s.ID] = true
		case !s.Ended.IsZero() && !byHand && covers >= 0 && !opened:
			w.breaks(earlySilence, "silence %s (%+v) ended, and it covers %s of account %s, flow %s, which is %s", s.ID, s.Scope,
				unresolved[covers].Name(), unresolved[covers].WABA, unresolved[covers].Flow, unresolved[covers].State)
		}
	}
}

// covered says whether a silence covers an incident.
func covered(s *router.Silence, inc *router.Incident) bool {
	if s.WABA != "" && s.WABA != inc.WABA || s.Flow != "" && s.Flow != inc.Flow || s.Event != "" && s.Event != inc.Event {
		return false
	}
	for key, value := range s.Labels {
		if inc.Labels[key] != value {
			return false
		}
	}
	return true
}

// silencesEnd holds if nothing is silenced until recovered that has.
func (w *world) silencesEnd() error {
	unresolved, err := w.unresolved()
	if err != nil {
		return err
	}
	holding, err := w.store.Silences(context.Background())
	for _, s := range holding {
		covers := slices.ContainsFunc(unresolved, func(inc router.Incident) bool { return covered(&s, &inc) })
		if s.UntilRecovered() && w.awaited[s.ID] && !covers {
			return fmt.Errorf("silence %s (%+v) still holds", s.ID, s.Scope)
		}
	}
	return err
}

// actsOn returns what people did to an incident of ours, here and in PagerDuty, in the order in which they did it.
// alone leaves out what was done to one of PagerDuty's that several of ours triggered: it is not certain whose it is.
func (w *world) actsOn(incident int64, alone bool, names ...string) (out []personAct) {
	for _, d := range w.acts {
		owners := w.owners[d.page]
		there := slices.Contains(owners, incident) && (!alone || len(owners) == 1)
		if slices.Contains(names, d.name) && (d.incident == incident || there) {
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b personAct) int { return a.at.Compare(b.at) })
	return out
}

// acknowledgedAt says whether an incident was, by what people did until a time.
func (w *world) acknowledgedAt(incident int64, at time.Time) bool {
	acknowledged := false
	for _, d := range w.actsOn(incident, false, router.Acknowledge, router.Unacknowledge) {
		if !d.at.After(at) {
			acknowledged = d.name == router.Acknowledge
		}
	}
	return acknowledged
}

// everyOpeningPaged holds if for each page that is open somebody is being called, or has acknowledged what it is about.
func (w *world) everyOpeningPaged() error {
	unresolved, err := w.unresolved()
	if err != nil {
		return err
	}
	for i := range unresolved {
		if inc := &unresolved[i]; pages(inc) {
			if err := w.openingPaged(inc); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) openingPaged(inc *router.Incident) error {
	var last need
	for _, n := range w.needsOf(inc) {
		if n.at.After(last.at) {
			last = n
		}
	}
	found := "none"
	for _, page := range w.pager.Incidents() {
		ours := page.DedupKey == inc.Key || strings.HasPrefix(page.DedupKey, inc.Key+"/")
		if !ours || page.Status == sandbox.IncidentResolved {
			continue
		}
		if page.Status == sandbox.IncidentTriggered || !w.pageAcked[page.Number].Before(last.at) {
			return nil
		}
		if page.Number <= w.earlier { // the trigger fell on what a life before had left there: nobody can know who has that
			return nil
		}
		found = fmt.Sprintf("#%d, acknowledged at %s", page.Number, w.pageAcked[page.Number].Format("15:04:05"))
	}
	return fmt.Errorf("%s (%s): nobody was paged for what happened at %s (%s); PagerDuty has %s",
		inc.Name(), inc.Key, last.at.Format("15:04:05"), last.why, found)
}

// needsOf are the openings of an incident's pages that are open still, and those rises that page: all where the rules
// say so, else those while nobody had it. What has eased since needs nobody any more.
func (w *world) needsOf(inc *router.Incident) (needs []need) {
	l := w.lifeOf(inc.Number)
	for _, n := range l.needs {
		if slices.ContainsFunc(inc.Watch, func(watch router.Watch) bool { return watch.Open && watch.PagedAt == n.page }) {
			needs = append(needs, n)
		}
	}
	if w.has(withTimed | withSilences) { // they may keep a rise from being told
		return needs
	}
	for _, n := range l.rises {
		if n.severity <= inc.Severity && (w.has(withRises) || !w.acknowledgedAt(inc.Number, n.at)) {
			needs = append(needs, n)
		}
	}
	return needs
}

// lastActStands holds if each incident is acknowledged or not as whoever acted last on it wished.
func (w *world) lastActStands() error {
	unresolved, err := w.unresolved()
	if err != nil {
		return err
	}
	newest := w.newestRaise()
	for _, inc := range unresolved {
		acts := w.actsOn(inc.Number, true, router.Acknowledge, router.Unacknowledge)
		all := w.actsOn(inc.Number, false, router.Acknowledge, router.Unacknowledge, router.Resolve, router.Reopen)
		if len(acts) == 0 || len(all) != len(acts) || !newest[inc.Key].Before(acts[len(acts)-1].at) {
			continue
		}
		last := acts[len(acts)-1]
		want := router.IncidentOpen
		if last.name == router.Acknowledge {
			want = router.IncidentAcknowledged
		}
		ended := w.has(withReminders) && inc.State == router.IncidentOpen && !w.now.Before(last.at.Add(acknowledgedFor))
		if inc.State != want && !ended && !w.inVain(&last, &inc) {
			return fmt.Errorf("%s is %s, and the last that was done to it was %s at %s",
				inc.Name(), inc.State, last.name, last.at.Format("15:04:05"))
		}
	}
	return nil
}

// inVain says whether an act came before what it is about had opened, by Meta's clock.
func (w *world) inVain(d *personAct, inc *router.Incident) bool { return d.at.Before(inc.OpenedAt) }

// closedByHand says whether a person resolved what stands for a key.
func (w *world) closedByHand(all []router.IncidentDetail, key string) bool {
	newest := (*router.IncidentDetail)(nil)
	for i := range all {
		if all[i].Key == key && (newest == nil || all[i].Number > newest.Number) {
			newest = &all[i]
		}
	}
	if newest == nil {
		return false
	}
	byPerson := func(d personAct) bool { return d.person }
	if slices.ContainsFunc(w.actsOn(newest.Number, false, router.Resolve), byPerson) {
		return true
	}
	pages := w.pager.Incidents() // one that a life before had left there is known by its key alone
	return slices.ContainsFunc(w.acts, func(d personAct) bool {
		return byPerson(d) && d.name == router.Resolve && d.page > 0 && d.page <= w.earlier && pages[d.page-1].DedupKey == key
	})
}

// nothingBurnsUnseen holds if all that Meta reports is open with us, in PagerDuty and in Slack.
func (w *world) nothingBurnsUnseen() error {
	all, err := w.store.Incidents(context.Background(), router.IncidentFilter{})
	if err != nil {
		return err
	}
	holding, err := w.store.Silences(context.Background())
	if err != nil {
		return err
	}
	for key, levels := range w.reported() {
		i := slices.IndexFunc(all, func(inc router.IncidentDetail) bool {
			return inc.Key == key && inc.State != router.IncidentResolved
		})
		switch {
		case len(levels) == 0:
		case i < 0 && w.closedByHand(all, key):
		case i < 0:
			return fmt.Errorf("%s is at %v, and no incident is open for it", key, levels)
		case slices.ContainsFunc(holding, func(s router.Silence) bool { return covered(&s, &all[i].Incident) }):
		default:
			err = cmp.Or(err, w.burns(&all[i].Incident, levels))
		}
	}
	return err
}

// burns holds if PagerDuty and Slack show an incident whose levels are active, and that no silence covers.
func (w *world) burns(inc *router.Incident, levels []string) error {
	worst := router.SeverityUnset
	for _, l := range levels {
		worst = max(worst, severityOf(l))
	}
	routed := worst >= router.Error
	if w.has(withTimed) {
		routed = inc.State != router.IncidentAcknowledged && len(w.actsOn(inc.Number, false, router.Acknowledge)) == 0
	}
	open := slices.ContainsFunc(w.pager.Incidents(), func(page sandbox.Incident) bool {
		return page.DedupKey == inc.Key && page.Status != sandbox.IncidentResolved
	})
	if routed && !open {
		return fmt.Errorf("%s (%s) is at %v, and PagerDuty has nothing open", inc.Name(), inc.Key, levels)
	}
	cards, _, err := w.cards()
	if shown := cards[inc.Number]; err == nil && len(shown) > 0 && shown[len(shown)-1].Color == colorOver {
		err = fmt.Errorf("%s (%s) is at %v, and its newest message says that it is over: %s",
			inc.Name(), inc.Key, levels, shown[len(shown)-1].Text)
	}
	return err
}
