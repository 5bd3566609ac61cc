package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// invariants must hold once everything has come to rest.
var invariants = []struct {
	name  string
	holds func(w *world) error
}{
	{"nothing is left waiting", (*world).nothingWaits},
	{"every event is stored once", (*world).everyEventIsStoredOnce},
	{"what stands is what Meta's history in order comes to", (*world).standsAsHistory},
	{"PagerDuty is open exactly where an incident pages", (*world).pagerDutyAgrees},
	{"no incident pages twice", (*world).noSecondPage},
	{"each incident has one message, which shows its state", (*world).oneCardEach},
	{"no digest is told twice", (*world).noSecondDigest},
	{"no thread says a thing twice", (*world).threadsRepeatNothing},
}

func (w *world) nothingWaits() error {
	stats, err := w.store.Stats(context.Background())
	if err != nil {
		return err
	}
	if n := stats.Events[router.EventWaiting] + stats.Deliveries[router.DeliveryWaiting] + stats.Deliveries[router.DeliveryParked]; n != 0 {
		return fmt.Errorf("%d events and deliveries wait: %+v", n, stats)
	}
	return nil
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
		if got[e.Digest] != 1 {
			return fmt.Errorf("%s of flow %s at %s is stored %d times", e.Name, e.Flow, e.At, got[e.Digest])
		}
	}
	if len(got) != len(w.happened) {
		return fmt.Errorf("%d events are stored, %d happened", len(got), len(w.happened))
	}
	return nil
}

// ideal is a bridge to which everything happened in order and at once.
func (w *world) ideal() []router.Incident {
	s := router.NewSimulation(w.rules)
	for _, e := range w.happened {
		s.Fold(e)
	}
	return s.Unresolved()
}

func (w *world) standsAsHistory() error {
	if w.people || w.timed {
		return nil
	}
	var want, got []string
	for _, inc := range w.ideal() {
		want = append(want, fmt.Sprintf("%s %s, page is open: %v", inc.Key, inc.Severity, pages(&inc)))
	}
	unresolved, err := w.unresolved()
	for _, inc := range unresolved {
		got = append(got, fmt.Sprintf("%s %s, page is open: %v", inc.Key, inc.Severity, pages(&inc)))
	}
	return errors.Join(err, same(got, want))
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

// pages says whether page is told that an incident is open.
func pages(inc *router.Incident) bool {
	return slices.ContainsFunc(inc.Watch, func(watch router.Watch) bool { return watch.Notifier == "page" && watch.Open })
}

func (w *world) pagerDutyAgrees() error {
	var want, got []string
	unresolved, err := w.unresolved()
	for _, inc := range unresolved {
		for _, watch := range inc.Watch {
			switch {
			case watch.Notifier != "page" || !watch.Open:
			case watch.Rise != 0:
				want = append(want, inc.Key+"/"+watch.Severity.String())
			default:
				want = append(want, inc.Key)
			}
		}
	}
	for _, inc := range w.pager.Incidents() {
		w.Pages++
		if inc.Status != sandbox.IncidentResolved {
			got = append(got, inc.DedupKey)
		}
	}
	return errors.Join(err, same(got, want))
}

// same compares lists whatever their order.
func same(got, want []string) error {
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("-want +got\n%s", diff)
	}
	return nil
}

func (w *world) noSecondPage() error {
	made := map[string]int{}
	for _, inc := range w.pager.Incidents() {
		if made[inc.DedupKey]++; made[inc.DedupKey] > w.openings[inc.DedupKey] {
			return fmt.Errorf("%s: PagerDuty has %d incidents, and it was to open %d times", inc.DedupKey, made[inc.DedupKey], w.openings[inc.DedupKey])
		}
	}
	return nil
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

func (w *world) oneCardEach() error {
	cards, digested := map[int64][]sandbox.Message{}, 0
	for _, m := range w.slack.Messages("#ops") {
		a, err := about(&m)
		if err != nil {
			return err
		}
		if m.ThreadTS == "" && a.Incident != 0 {
			cards[a.Incident] = append(cards[a.Incident], m)
		}
		if a.Recovered {
			digested += a.Incidents
		}
	}
	all, err := w.store.Incidents(context.Background(), router.IncidentFilter{})
	if err != nil {
		return err
	}
	w.Incidents += len(all)
	for _, inc := range all {
		over, n := inc.State == router.IncidentResolved, len(cards[inc.Number])
		switch {
		case n == 0 && over && digested > 0: // a channel that is flooded is told of the end of many in one message
			digested--
			continue
		case n != 1:
			return fmt.Errorf("%s has %d messages", inc.Name(), n)
		}
		if color := cards[inc.Number][0].Color; over != (color == "#2eb886" || color == "") {
			return fmt.Errorf("%s is %s, and its message has the colour %q", inc.Name(), inc.State, color)
		}
	}
	return nil
}

// noSecondDigest holds if the store knows of every digest: what a lost one told is told again only once it was found
// that it is not there.
func (w *world) noSecondDigest() error {
	for _, m := range w.slack.Messages("#ops") {
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
	seen := map[told]string{}
	for _, m := range w.slack.Messages("#ops") {
		a, err := about(&m)
		if err != nil {
			return err
		}
		if before, twice := seen[a]; twice && m.ThreadTS != "" {
			return fmt.Errorf("%s has two lines about entry %d: %q and %q", router.IncidentName(a.Incident), a.Entry, before, m.Text)
		}
		seen[a] = m.Text
	}
	return nil
}
