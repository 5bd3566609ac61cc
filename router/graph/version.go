package graph

import (
	"cmp"
	"fmt"
	"time"

	"flowbridge/router"
)

// expiresSoon is how long before it expires a version is one that does: a flow that was moved to it is not well again.
// Source: Meta, "Versioning": in general the period before freeze or expiry is 90 days.
const expiresSoon = 90 * 24 * time.Hour

// versionEvents say which version a flow with an open warning has by Graph, and when that expires as far as is known by
// now; or that the flow was moved to another one, which does not. h is nil where Graph is not asked: dates in the rules
// may have changed all the same.
func (w *FlowWatch) versionEvents(s *router.State, h *Health, now time.Time) []router.Event {
	a := s.Countdown()
	if a == nil || w.cfg.VersionEnds == nil {
		return nil
	}
	is := *a.Countdown
	if h != nil && h.Version != "" {
		ends, _ := w.cfg.VersionEnds(h.Version)
		moved := is.Version != "" && is.Version != h.Version
		switch {
		case moved && !router.IsPublished(h.Status): // as a draft it is not what people use
			return nil
		case moved && (ends.IsZero() || ends.Sub(now) > expiresSoon):
			asOf := s.LastHeard(a.Event)
			e := ownEvent(s.FlowID, a.Event, "version/"+h.Version, asOf, now, now)
			e.AlertState = router.Deactivated
			e.Facts = []router.Fact{{Name: router.FactVersion, Text: "Flow JSON " + h.Version}}
			return []router.Event{e}
		}
		is.Version, is.DataAPI = h.Version, cmp.Or(h.DataAPI, is.DataAPI)
	}
	ends, by := w.cfg.VersionEnds(is.Version)
	if !ends.IsZero() || is.EndsBy != router.EndsByWarning {
		is.Ends, is.EndsBy = ends, by
	}
	if a.Countdown.Says(&is) {
		return nil
	}
	e := ownEvent(s.FlowID, router.FlowLookedUp, fmt.Sprintf("version/%s/%d", is.Version, is.Ends.Unix()), now, now, now)
	e.Look.AsOf, e.Look.Countdown = time.Time{}, &router.Countdown{
		Version: is.Version, DataAPI: is.DataAPI, Ends: is.Ends, EndsBy: is.EndsBy,
	}
	return []router.Event{e}
}
