package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	gocmp "github.com/google/go-cmp/cmp"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// invariants must hold once everything has come to rest.
var invariants = []struct {
	name  string
	holds func(w *world) error
}{
	{comesToRest, kept(comesToRest)},
	{"nothing is left waiting", (*world).nothingWaits},
	{"every event is stored once", (*world).everyEventIsStoredOnce},
	{"what stands is what Meta's history in order comes to", (*world).standsAsHistory},
	{"nothing is closed in PagerDuty or Slack that Meta still reports, unless a person did it",
		(*world).nothingBurnsUnseen},
	{"whatever opened since the last acknowledgement has paged somebody", (*world).everyOpeningPaged},
	{"the bridge and PagerDuty agree: it is open exactly where an incident pages", (*world).pagerDutyAgrees},
	{"no incident pages twice", (*world).noSecondPage},
	{"what was done last to an incident stands", (*world).lastActStands},
	{"a silence until recovered has ended once nothing that it covers is wrong", (*world).silencesEnd},
	{"each incident has one message, which shows its state", (*world).oneCardEach},
	{"no digest is told twice", (*world).noSecondDigest},
	{"no thread says a thing twice", (*world).threadsRepeatNothing},
	{partialRecovery, kept(partialRecovery)},
	{noLongWait, kept(noLongWait)},
	{noPark, kept(noPark)},
	{oldAct, kept(oldAct)},
	{noPersonsAct, kept(noPersonsAct)},
	{actsInOrder, kept(actsInOrder)},
	{earlySilence, kept(earlySilence)},
	{flapIsOne, kept(flapIsOne)},
	{reminded, kept(reminded)},
	{followedUp, kept(followedUp)},
}

func (w *world) nothingWaits() error {
	stats, err := w.store.Stats(context.Background())
	if err != nil {
		return err
	}
	owed := stats.Deliveries[router.DeliveryWaiting] + stats.Deliveries[router.DeliveryParked] - w.standsInDigest()
	if n := stats.Events[router.EventWaiting] + owed; n != 0 {
		return fmt.Errorf("%d events and deliveries wait: %+v", n, stats)
	}
	return nil
}

// standsInDigest counts what a digest tells of while too many of it are open for cards of their own.
func (w *world) standsInDigest() (n int64) {
	backlog, err := w.store.Backlog(context.Background())
	w.must(err)
	for _, b := range backlog {
		if b.Class == router.ClassDigested && b.Waiting > router.StormSize {
			n += int64(b.Waiting)
		}
	}
	return n
}

func (w *world) everyEventIsStoredOnce() error {
	stored, err := w.store.Events(context.Background(), router.EventFolded, 10_000)
	if err != nil {
		return err
	}
	got := map[string]int{}
	for _, e := range stored {
		if e.Source == router.SourceMeta {
			got[e.Digest]++
		}
	}
	for _, e := range w.happened {
		if !w.accepted[e.Digest] || w.Lost == 0 && got[e.Digest] != 1 {
			return fmt.Errorf("%s of flow %s at %s is stored %d times", e.Name, e.Flow, e.At, got[e.Digest])
		}
	}
	if len(got) != len(w.journal) {
		return fmt.Errorf("%d events are stored, %d were", len(got), len(w.journal))
	}
	return nil
}

// standsAsHistory compares what is open with a ladder that the test climbs, and in a world without surprises also with
// a bridge to which everything happened in order and at once. What a person has resolved need not stand.
func (w *world) standsAsHistory() error {
	all, err := w.store.Incidents(context.Background(), router.IncidentFilter{})
	if err != nil {
		return err
	}
	var want, got []string
	for key, severity := range w.standing() {
		open := slices.ContainsFunc(all, func(inc router.IncidentDetail) bool {
			return inc.Key == key && inc.State != router.IncidentResolved
		})
		if open || !w.closedByHand(all, key) {
			want = append(want, fmt.Sprintf("%s %s", key, severity))
		}
	}
	unresolved, err := w.unresolved()
	for _, inc := range unresolved {
		got = append(got, fmt.Sprintf("%s %s", inc.Key, inc.Severity))
	}
	return errors.Join(err, same(got, want), w.standsAsIdeal(unresolved))
}

func (w *world) standsAsIdeal(unresolved []router.Incident) error {
	if w.troubles&^(withProxies|withWaits|withUnsure|withFrozen|withClosed|withReadonly|withStorms|withRises) != 0 {
		return nil
	}
	ideal := router.NewSimulation(w.rules)
	for _, e := range w.happened {
		ideal.Fold(e)
	}
	var want, got []string
	for _, inc := range ideal.Unresolved() {
		want = append(want, fmt.Sprintf("%s %s, page is open: %v", inc.Key, inc.Severity, pages(&inc)))
	}
	for _, inc := range unresolved {
		got = append(got, fmt.Sprintf("%s %s, page is open: %v", inc.Key, inc.Severity, pages(&inc)))
	}
	return same(got, want)
}

// unresolved returns the incidents that the store holds for open.
func (w *world) unresolved() (out []router.Incident, err error) {
	all, err := w.store.Incidents(context.Background(), router.IncidentFilter{})
	for _, inc := range all {
		if inc.State != router.IncidentResolved {
			out = append(out, inc.Incident)
		}
	}
	return out, err
}

// pages says whether PagerDuty is told that an incident is open.
func pages(inc *router.Incident) bool {
	return slices.ContainsFunc(inc.Watch, func(watch router.Watch) bool { return isPager(watch.Notifier) && watch.Open })
}

// pagerDutyAgrees leaves out what a person opened there again although Meta reports it no more, or a silence covers it.
func (w *world) pagerDutyAgrees() error {
	var want, got []string
	unresolved, err := w.unresolved()
	for _, inc := range unresolved {
		for _, watch := range inc.Watch {
			if key := keyOf(&inc, &watch); isPager(watch.Notifier) && watch.Open && !slices.Contains(want, key) {
				want = append(want, key)
			}
		}
	}
	for _, inc := range w.pager.Incidents() {
		switch {
		case inc.Status == sandbox.IncidentResolved:
		case w.Lost > 0 && w.neverTold(inc.DedupKey): // of an earlier life: what came back was over before it could be told
		case w.reopenedThere[inc.Number] && !slices.Contains(want, inc.DedupKey): // a person wants it open there
		default:
			got = append(got, inc.DedupKey)
		}
	}
	return errors.Join(err, same(got, want))
}

// neverTold says whether an incident of a key came and went in this life of which PagerDuty was not told, by a silence,
// and nothing of the key is open. What a wrong clock had made the newest in the earlier life, Meta never tells of
// again; a recovery that is too old when it arrives is not believed of what nobody knows.
func (w *world) neverTold(key string) bool {
	all, err := w.store.Incidents(context.Background(), router.IncidentFilter{})
	w.must(err)
	heard := slices.ContainsFunc(all, func(inc router.IncidentDetail) bool { return inc.Key == key })
	if !strings.HasSuffix(key, router.FlowStatusChange) { // whose recovery is told of anew with every status
		heard = slices.ContainsFunc(w.journal, func(e router.Event) bool {
			return keyOfEvent(&e) == key && e.Received.Sub(e.At) <= stale
		})
	}
	never := w.has(withAhead|withLate) && !heard
	for _, inc := range all {
		if inc.Key == key && inc.State != router.IncidentResolved {
			return false
		}
		never = never || inc.Key == key && !slices.ContainsFunc(inc.Deliveries, func(d router.Delivery) bool {
			return isPager(d.Notifier) && d.State != router.DeliveryCancelled
		})
	}
	return never
}

// same compares lists whatever their order.
func same(got, want []string) error {
	slices.Sort(got)
	slices.Sort(want)
	if diff := gocmp.Diff(want, got); diff != "" {
		return fmt.Errorf("-want +got\n%s", diff)
	}
	return nil
}

// noSecondPage counts, beside the openings, what others resolved there and what a person wanted paged. Where a page had
// been acknowledged before it got worse, it may have to be made anew, and so where an acknowledgement was taken back.
func (w *world) noSecondPage() error {
	made := map[string]int{}
	rises, err := w.repaged()
	for _, inc := range w.pager.Incidents() {
		made[inc.DedupKey]++
		most := w.openings[inc.DedupKey] + w.outside[inc.DedupKey]
		if w.has(withConsole | withHooks | withShuffled | withItself) {
			most += rises[inc.DedupKey]
		}
		if made[inc.DedupKey] > most {
			return fmt.Errorf("%s: PagerDuty has %d incidents, and it was to open %d times",
				inc.DedupKey, made[inc.DedupKey], most)
		}
	}
	return err
}

// repaged counts, by the keys of incidents, what may have made a page anew beside an opening.
func (w *world) repaged() (map[string]int, error) {
	rises := map[string]int{}
	all, err := w.store.Incidents(context.Background(), router.IncidentFilter{})
	for _, inc := range all {
		rises[inc.Key] += len(w.lifeOf(inc.Number).rises)
		for _, key := range router.PageKeys(inc.Key) { // an acknowledgement that was taken back, of any of its pages
			rises[key] += len(w.actsOn(inc.Number, false, router.Unacknowledge))
		}
	}
	return rises, err
}

// told is what a message of the channel says it is about. A digest has no incident: it says how many it tells of, and
// whether they are over.
type told struct {
	Incident, Entry int64
	Incidents       int
	Recovered       bool
}

func about(m *sandbox.Message) (told, error) {
	var metadata struct {
		Payload told `json:"event_payload"`
	}
	err := json.Unmarshal(m.Metadata, &metadata)
	return metadata.Payload, err
}

// colorOver is that of a card whose incident is resolved.
const colorOver = "#2eb886"

// messages are those of the channel since the database was lost, if it was.
func (w *world) messages() (out []sandbox.Message) {
	for _, m := range w.slack.Messages("#ops") {
		if !w.before[m.TS] {
			out = append(out, m)
		}
	}
	return out
}

// cards returns the messages about each incident, and how many incidents a digest told the end of.
func (w *world) cards() (cards map[int64][]sandbox.Message, digested int, err error) {
	all, err := w.store.Incidents(context.Background(), router.IncidentFilter{})
	if err != nil {
		return nil, 0, err
	}
	adopted := map[string]bool{} // of the life before, about the same as told anew
	for _, inc := range all {
		for _, d := range inc.Deliveries {
			var own struct{ TS string }
			if err := json.Unmarshal([]byte(d.Receipt.Own), &own); d.Receipt.Own != "" && err != nil {
				return nil, 0, err
			}
			adopted[own.TS] = w.before[own.TS]
		}
	}
	cards = map[int64][]sandbox.Message{}
	for _, m := range w.slack.Messages("#ops") {
		if w.before[m.TS] && !adopted[m.TS] {
			continue
		}
		a, err := about(&m)
		if err != nil {
			return nil, 0, err
		}
		if m.ThreadTS == "" && a.Incident != 0 {
			cards[a.Incident] = append(cards[a.Incident], m)
		}
		if a.Recovered {
			digested += a.Incidents
		}
	}
	return cards, digested, nil
}

func (w *world) oneCardEach() error {
	cards, digested, err := w.cards()
	if err != nil {
		return err
	}
	all, err := w.store.Incidents(context.Background(), router.IncidentFilter{})
	if err != nil {
		return err
	}
	w.Incidents += len(all)
	inDigest := w.standsInDigest()
	for _, inc := range all {
		over, n := inc.State == router.IncidentResolved, len(cards[inc.Number])
		most := 1
		if w.has(withFrozen) { // what cannot be edited is told anew of a rise and of the end
			for _, e := range inc.Timeline {
				if e.Kind == router.EntryReopened {
					most++
				}
			}
			most += len(w.lifeOf(inc.Number).rises) + len(w.actsOn(inc.Number, false, router.Reopen, router.Resolve)) + 1
		}
		switch {
		case n == 0 && over && digested > 0: // a channel that is flooded is told of the end of many in one message
			digested--
			continue
		case n == 0 && !over && inDigest > 0:
			inDigest--
			continue
		case n == 0 && (w.has(withSilences) || over && w.has(withSynonyms|withRenamed)):
			continue // it was never to be told
		case n < 1 || n > most:
			return fmt.Errorf("%s has %d messages", inc.Name(), n)
		}
		silenced := inc.Silence.ID != "" && !slices.ContainsFunc(inc.Watch, func(w router.Watch) bool {
			return w.Open && !isPager(w.Notifier)
		})
		if silenced { // it came back under a silence: no channel is told, though a person may have had somebody paged
			continue
		}
		if color := cards[inc.Number][n-1].Color; over != (color == colorOver || color == "") {
			return fmt.Errorf("%s is %s, and its message has the colour %q", inc.Name(), inc.State, color)
		}
	}
	return nil
}

// noSecondDigest holds if the store knows of every digest: what a lost one told is told again only once it was found
// that it is not there.
func (w *world) noSecondDigest() error {
	for _, m := range w.messages() {
		a, err := about(&m)
		switch {
		case err != nil:
			return err
		case a.Incidents > 0 && !w.digests[m.TS]:
			return fmt.Errorf("a digest is there that was told anew: %q", m.Text)
		case a.Incidents > 0:
			w.Digests++
		}
	}
	return nil
}

func (w *world) threadsRepeatNothing() error {
	type line struct {
		told
		thread string
	}
	seen := map[line]string{}
	for _, m := range w.messages() {
		a, err := about(&m)
		if err != nil {
			return err
		}
		l := line{told: a}
		if w.has(withFrozen) { // what is told anew has a thread of its own
			l.thread = m.ThreadTS
		}
		if before, twice := seen[l]; twice && m.ThreadTS != "" {
			return fmt.Errorf("%s has two lines about entry %d: %q and %q",
				router.IncidentName(a.Incident), a.Entry, before, m.Text)
		}
		seen[l] = m.Text
	}
	return nil
}
