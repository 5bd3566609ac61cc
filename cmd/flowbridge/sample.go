package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"flowbridge/router"
	"flowbridge/router/console"
	"flowbridge/router/rules"
	"flowbridge/router/rules/yamldoc"
	"flowbridge/router/whatsapp"
)

// quantity is a number that a person may write with its unit: 10%, 5s, 850ms.
type quantity struct {
	number *float64 // in unit; nil: none was given
	unit   router.Unit
}

// UnmarshalText reads it.
func (q *quantity) UnmarshalText(text []byte) error {
	word, unit, factor := strings.ReplaceAll(string(text), " ", ""), router.NoUnit, 1.0
	for _, known := range []struct {
		suffix string
		unit   router.Unit
		factor float64
	}{{"%", router.Percent, 1}, {"ms", router.Millis, 1}, {"s", router.Millis, 1000}, {"d", router.Days, 1}} {
		if rest, ok := strings.CutSuffix(word, known.suffix); ok {
			word, unit, factor = rest, known.unit, known.factor
			break
		}
	}
	v, err := strconv.ParseFloat(word, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("%q is no number: write it as 10%%, 5s or 850ms", text)
	}
	v *= factor
	*q = quantity{&v, unit}
	return nil
}

// inUnit returns the number as Meta would write it, nil for none.
func (q quantity) inUnit() *float64 { return q.number }

// sampleFlagsOf are the flags that change something of an event's sample, beside --at, --event and --force.
func sampleFlagsOf(event string) []string {
	switch signal := router.SignalOf(event); {
	case signal.Field != router.FlowsField && event == whatsapp.SampleTest:
		return nil
	case len(router.KnownChanges(event)) > 0 && signal.Field != router.FlowsField:
		flags := []string{"waba", "change"}
		if whatsapp.TakesState(event) {
			flags = append(flags, "alert-state")
		}
		return append(flags, subjectFlagsOf(event)...)
	case signal.Field != router.FlowsField:
		return append([]string{"waba"}, subjectFlagsOf(event)...)
	case signal.Counts:
		return []string{"waba", "flow", "value"}
	case signal.Measured() && signal.Errors:
		return []string{"waba", "flow", "threshold", "alert-state", "value", "error-type"}
	case signal.Measured():
		return []string{"waba", "flow", "threshold", "alert-state", "value"}
	case signal.ByWord():
		return []string{"waba", "flow", "old-status", "new-status"}
	}
	return []string{"waba", "flow"}
}

// subjectFlagsOf are those that say which number or template of the account it is.
func subjectFlagsOf(event string) []string {
	switch router.SubjectOf(event) {
	case router.SubjectPhone:
		return []string{"phone"}
	case router.SubjectTemplate:
		return []string{"template"}
	}
	return nil
}

// check refuses options that change nothing, and what Meta never sends unless it is forced.
func (c sampleFlags) check(line *kong.Context) error {
	if !slices.Contains(whatsapp.SampleNames(), c.Event) {
		if hint := yamldoc.DidYouMean(c.Event, whatsapp.SampleNames()); hint != "" {
			return wrongUsage("--event: there is no sample of %q: %s", c.Event, hint)
		}
		return nil // which is said where the sample is made, with all that there are
	}
	of := sampleFlagsOf(c.Event)
	for _, given := range line.Path {
		flag := given.Flag
		if flag == nil || flag.Group == nil || flag.Group.Key != sampleGroup ||
			slices.Contains([]string{"event", "at", "force"}, flag.Name) {
			continue
		}
		if !slices.Contains(of, flag.Name) {
			if flag.Name == "alert-state" && slices.Contains(of, "change") {
				return wrongUsage("--alert-state changes nothing of %s, whose change says whether it is over: use --change, "+
					"as in --change %s", c.Event, c.changeOf(c.AlertState))
			}
			return wrongUsage("--%s changes nothing of %s: leave it out, or use --%s", flag.Name, c.Event,
				strings.Join(append(of, "at"), ", --"))
		}
	}
	if c.Phone != "" && !strings.ContainsAny(c.Phone, "0123456789") {
		return wrongUsage("--phone: %q is no phone number: write it as \"+1 555-010-0100\" or 15550100100", c.Phone)
	}
	unit := router.UnitOf(c.Event)
	for _, q := range []struct {
		name string
		quantity
	}{{"threshold", c.Threshold}, {"value", c.Value}} {
		if q.number != nil && q.unit != router.NoUnit && q.unit != unit {
			return wrongUsage("--%s: %s is measured in %s", q.name, c.Event, unit)
		}
	}
	if why := c.neverSent(); why != "" && !c.Force {
		return wrongUsage("%s (--force takes it nevertheless)", why)
	}
	return nil
}

// changeOf returns a change of what is about the account that is in a state, or else any that it has.
func (c sampleFlags) changeOf(state string) string {
	of, _ := router.ChangesOf(c.Event)
	if state == router.Deactivated {
		return cmp.Or(slices.Concat(of.Ends, whatsapp.Changes(c.Event))...)
	}
	return cmp.Or(slices.Concat(of.Opens, whatsapp.Changes(c.Event))...)
}

// neverSent says what of the sample Meta never sends; "" if it might send it.
func (c sampleFlags) neverSent() string {
	if t := c.Threshold.number; t != nil {
		known := router.Thresholds(c.Event)
		var words []string
		for _, k := range known {
			words = append(words, router.FormatValue(c.Event, k))
		}
		if !slices.Contains(known, *t) {
			return fmt.Sprintf("--threshold: Meta never sends %s at %s, but at %s", c.Event, router.FormatValue(c.Event, *t),
				strings.Join(words, ", "))
		}
	}
	if v := c.Value.number; v != nil && (*v < 0 || router.UnitOf(c.Event) == router.Percent && *v > 100) {
		return fmt.Sprintf("--value: Meta never measures %s", router.FormatValue(c.Event, *v))
	}
	if why := c.contradicts(); why != "" {
		return why
	}
	if c.AlertState != "" && c.AlertState != router.Activated && c.AlertState != router.Deactivated {
		return fmt.Sprintf("--alert-state: Meta never sends %q, but %s or %s", c.AlertState, router.Activated,
			router.Deactivated)
	}
	statuses := router.Statuses()
	for _, status := range []struct{ name, word string }{{"old-status", c.OldStatus}, {"new-status", c.NewStatus}} {
		if status.word != "" && !slices.Contains(statuses, status.word) {
			return fmt.Sprintf("--%s: Meta never sends %q, but %s", status.name, status.word,
				strings.Join(statuses, ", "))
		}
	}
	if c.NewStatus != "" && c.OldStatus == c.NewStatus {
		return fmt.Sprintf("Meta never sends a change from %s to itself", c.NewStatus)
	}
	return ""
}

// contradicts says why the value cannot be what Meta measured when it said that the threshold is crossed, or is not any
// more; "" if it can.
func (c sampleFlags) contradicts() string {
	v := c.Value.number
	threshold, crossed, ok := whatsapp.Sample{Event: c.Event, Threshold: c.Threshold.number,
		AlertState: c.AlertState}.Crossed()
	signal := router.SignalOf(c.Event)
	if v == nil || !ok || *v == threshold || signal.Worse(*v, threshold) == crossed {
		return ""
	}
	side, state, other := "below", router.Activated, router.Deactivated
	if signal.Bad == router.Below {
		side = "not below"
	}
	if !crossed {
		state, other = router.Deactivated, router.Activated
		side = "not below"
		if signal.Bad == router.Below {
			side = "below"
		}
	}
	return fmt.Sprintf(
		"--value: Meta never says %s at %s of %s, which is %s %s: change --value or --threshold, or use --alert-state %s",
		state, router.FormatValue(c.Event, *v), c.Event, side, router.FormatValue(c.Event, threshold), other)
}

// named puts ids in the place of the names of flow and account; read gives the rules, which have them.
func (c *sampleFlags) named(read func() (*rules.Rules, error)) error {
	isID := func(name string) bool { return strings.Trim(name, "0123456789") == "" }
	if isID(c.Flow) && isID(c.WABA) {
		return nil
	}
	r, err := read()
	if err != nil {
		return fmt.Errorf("--flow %s and --waba %s are not both ids, and the rules, which may name them, cannot be read: %w "+
			"(name them with --rules, or give ids)", c.Flow, c.WABA, err)
	}
	for _, one := range []struct {
		flag, what string
		name       *string
		ids        func(name string) []string
	}{{"--flow", "flow", &c.Flow, r.FlowIDs}, {"--waba", "account", &c.WABA, r.AccountIDs}} {
		if isID(*one.name) {
			continue
		}
		switch ids := one.ids(*one.name); len(ids) {
		case 1:
			*one.name = ids[0]
		case 0:
			return wrongUsage("%s: the rules name no %s %q: give its id, or a name of %ss", one.flag, one.what, *one.name,
				one.what)
		default:
			return wrongUsage("%s: %q is the name of %d %ss: give the id, one of %s", one.flag, *one.name, len(ids), one.what,
				strings.Join(ids, ", "))
		}
	}
	return nil
}

// outcomeWait bounds how long send waits for the fold.
const outcomeWait = 3 * time.Second

// outcome prints what came of a post that was taken: the admin API knows each of its events by its digest. Where that
// is not to be asked, it says how to look.
func (c sendCommand) outcome(ctx context.Context, p *program, body []byte) error {
	events, ignored := whatsapp.Decode(body, time.Now(), whatsapp.WantsAll)
	if len(events) == 0 && len(ignored) > 0 {
		_, err := fmt.Fprintln(p.Stdout,
			"no event: flowbridge lets go what is no filled form, and what is of another product")
		return err
	}
	client, err := p.adminClient("--admin", c.Admin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, outcomeWait)
	defer cancel()
	for i := range events {
		e, err := findEvent(ctx, client, events[i].Digest)
		switch {
		case err != nil:
			fmt.Fprintf(p.Stdout, "see what came of it with: flowbridge events (it could not be asked: %v)\n", err)
			return nil
		case e == nil:
			fmt.Fprintf(p.Stdout, "no event is known of it at %s: a form that no rule asks for is not kept; "+
				"else --admin may be of another bridge\n", client.base)
			continue
		}
		fmt.Fprintf(p.Stdout, "event %d: %s\n", e.Seq, clean(cmp.Or(cameOf(e), nothingCame)))
	}
	return nil
}

// findEvent waits until an event is folded, and returns it as far as it has come by then; nil for one that is not
// there.
func findEvent(ctx context.Context, client *adminClient, digest string) (found *console.Event, err error) {
	for {
		var answer struct{ Events []console.Event }
		err := client.call(ctx, "GET", "/api/v1/events?digest="+url.QueryEscape(digest), nil, &answer)
		switch {
		case err != nil && found == nil && ctx.Err() == nil:
			return nil, err
		case err != nil:
			return found, nil
		case len(answer.Events) > 0:
			if found = &answer.Events[0]; found.State != string(router.EventWaiting) {
				return found, nil
			}
		}
		if !router.Sleep(ctx, 100*time.Millisecond) {
			return found, nil
		}
	}
}
