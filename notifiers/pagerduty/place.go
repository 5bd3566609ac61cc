package pagerduty

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"flowbridge/router"
)

const (
	// skew is how far PagerDuty's clock may be behind ours when we compare them.
	skew = 5 * time.Second
	// mostSkew is how far it may be where nothing but one page can be meant.
	mostSkew = time.Minute
)

// choose returns those places with the incident's key that it can be about, at most one incident of ours: keys are
// used again, and what is said may come two days late. It is about the page that was there when it happened: nobody can
// have done anything to one that PagerDuty had not been told of. linked are the places that PagerDuty calls by the
// incident's id: what is known by its name belongs there, and to another only if the page that it names was never
// ended, so that the next trigger fell on it.
func (s *said) choose(keyed, linked []router.Place) (chosen []router.Place) {
	if len(linked) == 0 {
		if made := s.madeFor(keyed); len(made) > 0 {
			return join(made, s.choose(keyed, made))
		}
	}
	if len(linked) > 0 && !slices.ContainsFunc(linked, func(p router.Place) bool { return p.Open }) {
		return nil
	}
	for _, latest := range []time.Time{s.at, s.at.Add(skew)} {
		nameless := false         // one without a name came within the skew: what older ones are called is not this
		for _, p := range keyed { // newest first
			switch {
			case p.Known.IsZero(), p.Known.After(latest):
				nameless = nameless || !p.Known.IsZero() && !p.Known.After(s.at.Add(skew)) && p.Link.ID == ""
			case s.othersPage(keyed, &p):
			case nameless && p.Link.ID != "" && p.Link.ID != s.about.ID:
			case p.Link.ID != "" && p.Link.ID != s.about.ID && !newer(s.about, p.Link):
			case len(chosen) == 0 || chosen[0].Incident == p.Incident:
				chosen = append(chosen, p)
			}
		}
		if len(chosen) > 0 || len(linked) > 0 {
			break
		}
	}
	if len(chosen) == 0 && len(linked) == 0 {
		return s.onlyOpen(keyed)
	}
	return chosen
}

// onlyOpen returns the places of the only page that can be meant where our clock is ahead by more than the skew:
// PagerDuty made the incident for it, whatever the clocks say. nil where another incident had the key before.
func (s *said) onlyOpen(keyed []router.Place) []router.Place {
	for _, p := range keyed {
		if p.Incident != keyed[0].Incident || !p.Open || p.Link.ID != "" || !s.early(&p) {
			return nil
		}
	}
	return keyed
}

// early says whether a page was told of a little after what was said of it: by our clock, which is ahead.
func (s *said) early(p *router.Place) bool {
	return p.Known.After(s.at) && p.Known.Sub(s.at) <= mostSkew
}

// madeFor returns those places with the incident's key, and without a name, for which PagerDuty made it: those that it
// was told of last when it did. What happened to it may have happened when a newer page was there. nil where that is
// not certain: another page has a name of its own, or two were told of in the same second.
func (s *said) madeFor(keyed []router.Place) (places []router.Place) {
	for _, p := range keyed { // newest first
		switch told := p.Known.Truncate(time.Second); {
		case s.made.IsZero(), p.Known.IsZero(), told.After(s.made):
		case len(places) > 0 && places[0].Incident != p.Incident:
			if told.Equal(places[0].Known.Truncate(time.Second)) {
				return nil
			}
			return places
		case p.Link.ID != "":
			return nil
		default:
			places = append(places, p)
		}
	}
	return places
}

// othersPage says whether a place cannot be meant since another notifier of the incident has a page with the same key:
// the incident is in the other's service, or not in that of the place. Where services are not known, one that has a
// name keeps it as long as the other has none.
func (s *said) othersPage(keyed []router.Place, p *router.Place) bool {
	if p.Link.ID == s.about.ID || p.Link.Service != "" && p.Link.Service == s.service {
		return false
	}
	return slices.ContainsFunc(keyed, func(q router.Place) bool {
		if q.Incident != p.Incident || q.Key != p.Key || q.Notifier == p.Notifier || q.Known.IsZero() {
			return false
		}
		elsewhere := s.service != "" && (p.Link.Service != "" || q.Link.Service == s.service)
		return elsewhere || p.Link.ID != "" && q.Link.ID == ""
	})
}

// newer says whether an incident of PagerDuty's was made after another. Its numbers only rise.
func newer(a, b router.Link) bool { return a.Number > b.Number }

// join adds places of incidents that are not among those known by their links.
func join(linked, keyed []router.Place) []router.Place {
	out := slices.Clone(linked)
	for _, p := range keyed {
		if !slices.ContainsFunc(linked, func(q router.Place) bool { return q.Incident == p.Incident }) {
			out = append(out, p)
		}
	}
	return out
}

// spread returns what was said as events about our incidents: one act for each incident, whatever number of pages
// of it PagerDuty has in that one, and its name where that is news.
func (s *said) spread(places []router.Place) (events []router.Event) {
	events = s.links(places)
	for _, p := range byIncident(places) {
		for _, e := range s.events {
			if e.Name == router.LinkIncident { // a merge: the links say so
				continue
			}
			act := *e.Act
			act.Incident, act.Notifier, act.Key = p.Incident, p.Notifier, p.Key
			if p.Notifier == "" && e.Name == router.Reopen { // a page of before: what has its key now is that
				act.Key = s.key
			}
			events = append(events, s.event(e.Name, p, act))
		}
	}
	return events
}

// links returns events that name the incident, for each page that it is not known by. The name stays untold where
// one key belongs to pages of several notifiers: which of them it is for, only their services tell.
func (s *said) links(places []router.Place) (events []router.Event) {
	about := s.about
	if into := s.into(); into != nil {
		about = *into
	}
	if about.Number == 0 && about.URL == "" {
		return nil
	}
	for _, p := range places {
		link := router.Link{Notifier: p.Notifier, Key: p.Key, ID: about.ID, Number: about.Number, URL: about.URL,
			Service: p.Link.Service}
		if s.into() == nil { // what it was merged into may be in another service
			link.Service = cmp.Or(link.Service, s.service)
		}
		if link.ID == p.Link.ID { // a note names its incident by half
			link.Number, link.URL = cmp.Or(link.Number, p.Link.Number), cmp.Or(link.URL, p.Link.URL)
		}
		if p.Notifier == "" { // a name that it does not go by any more
			continue
		}
		ambiguous := p.Link.ID == "" &&
			slices.ContainsFunc(places, func(q router.Place) bool { return q.Key == p.Key && q.Notifier != p.Notifier })
		if link == p.Link || ambiguous {
			continue
		}
		events = append(events, s.event(router.LinkIncident, p, router.Act{Incident: p.Incident, Notifier: p.Notifier,
			Key: p.Key, Owner: s.owner, Link: &link}))
	}
	return events
}

// joins returns acknowledgements of what was merged into an incident that somebody had acknowledged: there are the
// incidents of ours that were in it before.
func (s *said) joins(merged, there []router.Place) (events []router.Event) {
	i := slices.IndexFunc(there, func(p router.Place) bool { return p.State == router.IncidentAcknowledged })
	if i < 0 {
		return nil
	}
	for _, p := range byIncident(merged) {
		if p.State == router.IncidentOpen {
			events = append(events, s.event(router.Acknowledge, p, router.Act{Incident: p.Incident, Notifier: p.Notifier,
				Key: p.Key, Actor: there[i].AcknowledgedBy}))
		}
	}
	return events
}

// event places an act. Its digest makes a repeat fall on it.
func (s *said) event(name string, p router.Place, act router.Act) router.Event {
	digest := fmt.Sprintf("%s/%s/%d", s.digest(), name, p.Incident)
	if name == router.LinkIncident {
		digest += fmt.Sprintf("/%s/%s", p.Notifier, p.Key)
	}
	at := s.at
	if s.early(&p) && !p.Stale && !p.Known.After(s.received) { // nobody can have acted on a page before it was there
		at = p.Known
	}
	return router.Event{
		Digest: digest, Source: router.SourcePagerDuty, Name: name, At: at, Received: s.received,
		WABA: p.WABA, Flow: p.Flow, Act: &act,
	}
}

// byIncident returns one place for each incident. Of several pages the notifier is kept where it is the same, and the
// key where that is all that they share.
func byIncident(places []router.Place) (out []router.Place) {
	for _, p := range places {
		i := slices.IndexFunc(out, func(q router.Place) bool { return q.Incident == p.Incident })
		if i < 0 {
			out = append(out, p)
			continue
		}
		if out[i].Notifier == p.Notifier || out[i].Key != p.Key {
			out[i].Key = ""
		}
		if out[i].Notifier != p.Notifier {
			out[i].Notifier = ""
		}
	}
	slices.SortStableFunc(out, func(a, b router.Place) int { return cmp.Compare(a.Incident, b.Incident) })
	return out
}
