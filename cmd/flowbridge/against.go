package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
	"flowbridge/router/console"
	"flowbridge/router/rules"
)

// againstTimeout bounds the whole comparison: two lists, and one event for each alert that is active.
const againstTimeout = 2 * time.Minute

// compare does what --against asks of check, for rules without mistakes.
func (c checkCommand) compare(ctx context.Context, p *program) error {
	switch {
	case c.Against == "":
		return nil
	case len(c.Files) != 1:
		return wrongUsage("--against compares one set of rules: name only that file or folder")
	}
	candidate, err := p.loadRules(c.Files[0])
	if err != nil {
		return err
	}
	moved, err := p.against(ctx, c.Against, candidate)
	if err == nil && moved > 0 && c.Strict {
		err = errFault
	}
	return err
}

// against lists the open incidents of a running bridge that other rules would route elsewhere, and returns how many.
// They stay with whom they were opened all the same: what an incident opened is pinned.
func (p *program) against(ctx context.Context, admin string, candidate *rules.Rules) (moved int, err error) {
	ctx, cancel := context.WithTimeout(ctx, againstTimeout)
	defer cancel()
	client, err := p.adminClient("--against", admin)
	if err != nil {
		return 0, err
	}
	list, err := readList(ctx, client, "incidents", url.Values{"limit": {"500"}},
		map[string][]string{"unresolved": {"open", "acknowledged"}}, "unresolved", router.MaxListed)
	if err != nil {
		return 0, err
	}
	if list.more {
		fmt.Fprintf(p.Stderr, "more than %d incidents are open: the newest are compared\n", len(list.all))
	}
	open, err := decodeList[console.Incident](list.all)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(open, func(a, b console.Incident) int { return cmp.Compare(a.Number, b.Number) })
	for i := range open {
		inc := &open[i]
		name := router.IncidentName(inc.Number) + " " + clean(aboutOf(inc))
		now, unknown, err := routedBy(candidate, activeAlerts(inc), func(seq int64) (*router.Event, error) {
			e, err := client.event(ctx, seq)
			if refused, ok := errors.AsType[*adminError](err); ok && refused.Status == http.StatusNotFound {
				return nil, nil
			}
			return e, err
		})
		switch {
		case err != nil:
			return moved, err
		case unknown:
			fmt.Fprintf(p.Stdout, "%s: cannot be compared: the event that opened it is no longer in the journal\n", name)
			continue
		}
		if was := routesOf(inc); !slices.Equal(was, now) {
			moved++
			fmt.Fprintf(p.Stdout, "%s: %s -> %s\n", name, whom(was), whom(now))
		}
	}
	if moved > 0 {
		_, err = fmt.Fprintf(p.Stdout, "%d of %s would be routed elsewhere; what is open stays where it is\n", moved,
			counted(len(list.all), "open incident"))
	} else {
		_, err = fmt.Fprintf(p.Stdout, "%s, none of which would be routed elsewhere\n",
			counted(len(list.all), "open incident"))
	}
	return moved, err
}

// routesOf returns the notifiers that the active alerts were routed to, sorted.
func routesOf(inc *console.Incident) (names []string) {
	for i := range inc.Alerts {
		if inc.Alerts[i].Counts() {
			names = append(names, inc.Alerts[i].Routes...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// routedBy returns the notifiers that other rules name for the events that made the active alerts active, sorted. event
// reads one, and returns nil where it is not kept any more. unknown says that one of these events is not known.
func routedBy(candidate *rules.Rules, active []activeAlert,
	event func(seq int64) (*router.Event, error)) (names []string, unknown bool, err error) {
	for _, a := range active {
		if a.openedBy == nil {
			return nil, true, nil
		}
		e, err := event(*a.openedBy)
		if err != nil || e == nil {
			return nil, err == nil, err
		}
		if router.SignalOf(e.SignalKey()).Counts { // a step of a countdown is asked about as it was planned
			e.Threshold = a.threshold
		}
		d := candidate.Decide(e)
		if d.Drop {
			continue
		}
		for _, route := range d.Opens(e.SignalKey()) {
			names = append(names, route.Notifier)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), false, nil
}

// activeAlert is what made an alert active: the position of the event, nil where it is not known, and its level.
type activeAlert struct {
	openedBy  *int64
	threshold *float64
}

// activeAlerts returns those of an incident.
func activeAlerts(inc *console.Incident) (active []activeAlert) {
	for i := range inc.Alerts {
		if a := &inc.Alerts[i]; a.Counts() {
			active = append(active, activeAlert{a.OpenedBy, a.Threshold})
		}
	}
	return active
}

// event reads an event of the journal.
func (c *adminClient) event(ctx context.Context, seq int64) (*router.Event, error) {
	var v journalView
	if err := c.call(ctx, "GET", fmt.Sprintf("/api/v1/events/%d", seq), nil, &v); err != nil {
		return nil, err
	}
	return v.event(), nil
}

// whom names notifiers.
func whom(names []string) string { return cmp.Or(strings.Join(names, ", "), "nobody") }
