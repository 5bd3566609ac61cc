package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"flowbridge/router"
	"flowbridge/router/console"
)

// silencesCommand is `flowbridge silences`.
type silencesCommand struct {
	List   silencesList   `cmd:"" default:"withargs" help:"List silences: those that hold or will, and with --state all those that ended in the last week."`
	Add    silencesAdd    `cmd:"" help:"Ask not to be told of new trouble for a while. Recoveries of what was told are always told."`
	Remove silencesRemove `cmd:"" help:"End silences: whoever should have been told of what is still open is told now."`
}

type silencesList struct {
	State  string     `enum:"current,active,planned,ended,all" default:"current" help:"${enum}; current is active and planned."`
	Bridge adminFlags `embed:""`
}

// Run prints a table, or the API's answer.
func (c silencesList) Run(ctx context.Context, p *program) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	list, err := readList(ctx, client, "silences", url.Values{}, map[string][]string{"current": {"active", "planned"},
		"all": {""}}, c.State, mostSilences)
	if err != nil {
		return err
	}
	return printList(p, c.Bridge, "silences", list, printSilences)
}

// mostSilences bounds what is listed of each state.
const mostSilences = 1000

func printSilences(w io.Writer, silences []console.Silence, now time.Time) error {
	rows := [][]string{{"ID", "OF", "NOW COVERS", "SINCE", "ENDS", "BY", "WHY"}}
	for i := range silences {
		s := &silences[i]
		end := ends(s.Until, s.UntilRecovered)
		if s.EndedAt != nil {
			end = "ended " + ago(now, s.EndedAt) + " ago"
		}
		since := ""
		if s.Since != nil {
			since = ago(now, s.Since) + " ago"
			if s.Since.After(now) {
				since = "from " + clock(s.Since)
			}
		}
		rows = append(rows, []string{s.ID, coveredBy(s), incidentNames(s.Covers), since, end, s.By, s.Why})
	}
	return printTable(w, rows)
}

// incidentNames lists incidents.
func incidentNames(numbers []int64) string {
	names := make([]string, len(numbers))
	for i, n := range numbers {
		names[i] = router.IncidentName(n)
	}
	return strings.Join(names, ", ")
}

// coveredBy writes what a silence is about.
func coveredBy(s *console.Silence) string {
	var parts []string
	if s.WABA != "" {
		parts = append(parts, strings.Join(strings.Fields("account "+s.AccountName+" "+s.WABA), " "))
	}
	if s.Flow != "" {
		parts = append(parts, strings.TrimSpace("flow "+s.FlowName+" "+s.Flow))
	}
	if s.Event != "" {
		parts = append(parts, s.Event)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		parts = append(parts, key+" "+s.Labels[key])
	}
	return cmp.Or(strings.Join(parts, ", "), "everything")
}

// ends writes when a silence ends.
func ends(until *time.Time, recovered bool) string {
	if recovered {
		return "once it has recovered"
	}
	return "at " + clock(until)
}

type silencesAdd struct {
	Flow       string            `help:"Of a flow: its id, or its name in the rules."`
	WABA       string            `name:"waba" help:"Of a WhatsApp Business Account: its id, or its name in the rules."`
	Event      string            `complete:"events" help:"Of a signal, such as ENDPOINT_LATENCY."`
	Team       string            `help:"Of flows with this label team."`
	Label      map[string]string `mapsep:"none" placeholder:"KEY=VALUE" help:"Of flows with this label; may be repeated."`
	Everything bool              `help:"Of everything there is."`
	For        string            `xor:"end" placeholder:"4h" help:"How long, from its beginning: 30m, 4h, 2d."`
	Start      string            `placeholder:"TIME" help:"When it begins: a time (RFC 3339), or how long from now (2h). Before that it covers nothing. Default: at once."`
	Until      string            `xor:"end" placeholder:"TIME" help:"Until a time (RFC 3339), or the word recovered: until nothing that it covers is wrong any more."`
	By         string            `placeholder:"NAME" help:"Who wants it. Default: $USER."`
	Why        string            `help:"For whoever wonders later."`
	Bridge     adminFlags        `embed:""`
}

// AfterApply refuses what is given twice: the last alone would count, and somebody would believe both to be silent.
func (c silencesAdd) AfterApply(k *kong.Context) error {
	given := map[string]int{}
	for _, part := range k.Path {
		if part.Flag != nil {
			given[part.Flag.Name]++
		}
	}
	for _, name := range []string{"flow", "waba", "event", "team"} {
		if given[name] > 1 {
			return wrongUsage("--%s is given %s: add a silence for each", name, router.FormatTimes(int64(given[name])))
		}
	}
	if given["label"] > len(c.Label) {
		return wrongUsage("--label gives a key twice: add a silence for each value")
	}
	return nil
}

// Run adds a silence and says what it covers now.
func (c silencesAdd) Run(ctx context.Context, p *program) error {
	switch narrow := c.Flow+c.WABA+c.Event+c.Team != "" || len(c.Label) > 0; {
	case !narrow && !c.Everything: // the bridge says so too, in the words of its API
		return wrongUsage("say what nobody is to be told of: --flow, --waba, --event, --team or --label, or --everything")
	case narrow && c.Everything:
		return wrongUsage("--everything stands alone: leave out --flow, --waba, --event, --team and --label")
	case c.For == "" && c.Until == "":
		return wrongUsage("say how long: --for 4h, or --until with a time or the word recovered")
	}
	if err := c.times(); err != nil {
		return err
	}
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	asked := console.SilenceRequest{
		Flow: c.Flow, WABA: c.WABA, Event: c.Event, Team: c.Team, Labels: c.Label, Everything: c.Everything,
		Start: c.Start, For: c.For, Until: c.Until, By: p.user(c.By), Why: c.Why,
	}
	var raw json.RawMessage
	if err := client.call(ctx, "POST", "/api/v1/silences", asked, &raw); err != nil {
		return err
	}
	if c.Bridge.JSON {
		return printJSON(p.Stdout, raw)
	}
	var answer console.SilenceAdded
	if err := json.Unmarshal(raw, &answer); err != nil {
		return err
	}
	s := &answer.Silence
	says := fmt.Sprintf("ends %s; it covers %s now", ends(s.Until, s.UntilRecovered),
		cmp.Or(incidentNames(answer.Covers), "no open incident"))
	if s.Since != nil && s.Since.After(time.Now()) {
		says = fmt.Sprintf("begins at %s and ends %s; it covers nothing before", clock(s.Since),
			ends(s.Until, s.UntilRecovered))
	}
	if isNews(s.Event) {
		says += "\nit holds nothing back: " + clean(s.Event) + " is told once, and no silence keeps that from anybody"
	}
	_, err = fmt.Fprintf(p.Stdout, "silence %s of %s %s\n", clean(s.ID), clean(coveredBy(s)), says)
	return err
}

// isNews says whether events of a name open nothing.
func isNews(event string) bool {
	of := router.SignalsOf(event)
	return len(of) > 0 && !slices.ContainsFunc(of, func(s router.Signal) bool { return s.Opens(nil) })
}

// times refuses what is no time, or no length of one. Whether it can be is said by the bridge.
func (c silencesAdd) times() error {
	isTime := func(s string) bool { _, err := time.Parse(time.RFC3339, s); return err == nil }
	isLength := func(s string) bool { d, ok := router.ParseDuration(s); return ok && d > 0 }
	switch {
	case c.For != "" && !isLength(c.For):
		return wrongUsage("--for: %q is no length of time: write 30m, 4h or 2d", c.For)
	case c.Until != "" && c.Until != "recovered" && !isTime(c.Until):
		return wrongUsage("--until: %q is neither an RFC 3339 time, such as 2026-03-02T08:00:00Z, nor the word recovered",
			c.Until)
	case c.Start != "" && !isTime(c.Start) && !isLength(c.Start):
		return wrongUsage("--start: %q is neither an RFC 3339 time, such as 2026-03-02T08:00:00Z, nor a time from now, "+
			"such as 2h", c.Start)
	}
	return nil
}

type silencesRemove struct {
	IDs    []string   `arg:"" name:"id" help:"Ids, as the list shows them."`
	By     string     `placeholder:"NAME" help:"Who ends it. Default: $USER."`
	Bridge adminFlags `embed:""`
}

// Run ends each silence.
func (c silencesRemove) Run(ctx context.Context, p *program) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	return forEach(p, c.IDs, func(id string) error {
		var answer console.SilenceEnded
		if err := client.call(ctx, "DELETE", "/api/v1/silences/"+url.PathEscape(id), map[string]string{"by": p.user(c.By)},
			&answer); err != nil {
			return err
		}
		if c.Bridge.JSON {
			return printJSON(p.Stdout, answer)
		}
		return printActed(p.Stdout, "silence "+clean(answer.Silence), "remove", answer.Queued, answer.Result)
	})
}
