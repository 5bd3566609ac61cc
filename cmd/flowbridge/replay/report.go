package replay

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"flowbridge/router"
)

// Report is what a replay found. Programs read it as JSON.
type Report struct {
	Rules    string    `json:"rules"` // where they were read; for the caller to fill in, like Seconds
	Events   int64     `json:"events_folded"`
	Compared int64     `json:"events_compared"` // those of the time that is compared
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Seconds  float64   `json:"seconds"`

	Pages        Count        `json:"pages"`
	Messages     Count        `json:"messages"`
	ChangeEvents Count        `json:"change_events"`
	Differences  []Difference `json:"differences"`
	NeverHit     []RuleAt     `json:"rules_never_hit"`
	Flows        int          `json:"flows"`
	BusiestFlows []Flow       `json:"busiest_flows"`

	ActsLeftOut       int64 `json:"acts_left_out"`
	DeliveriesLeftOut int64 `json:"events_about_deliveries_left_out"`
	Reduced           int64 `json:"events_reduced"` // of which not all that they said is kept
}

// Count counts one kind of telling: live is what services were told, now what these rules tell.
type Count struct {
	Live         int64 `json:"live"`
	Now          int64 `json:"now"`
	Same         int64 `json:"same"`
	Added        int64 `json:"added"`
	Gone         int64 `json:"gone"`
	NotDelivered int64 `json:"not_delivered"` // both rules tell it, and the service did not hear it
}

// Difference is what one rule tells one notifier that was not told, or told it and would not. Rule is a rule of the
// new file where something is added, and the one that opened the incident live where something is gone.
type Difference struct {
	Kind     string `json:"kind"`
	kind     tellKind
	Notifier string    `json:"notifier"`
	Rule     string    `json:"rule"`
	Place    string    `json:"place,omitempty"` // of the rule, in the new file
	Added    int64     `json:"added"`
	Gone     int64     `json:"gone"`
	Examples []Example `json:"examples"`
}

type Example struct {
	At    time.Time `json:"at"`
	WABA  string    `json:"waba_id"`
	Flow  string    `json:"flow_id"`
	Event string    `json:"event"`
	Gone  bool      `json:"gone"`
}

// What says what it is about: "Endpoint error rate of flow 2".
func (e *Example) What() string {
	if e.Flow == "" {
		return router.SignalName(e.Event)
	}
	return router.SignalName(e.Event) + " of " + router.FlowInfo{}.DisplayName(e.Flow)
}

type RuleAt struct {
	Rule  string `json:"rule"`
	Place string `json:"place"`
}

// Flow is one flow with what it makes of a day's work.
type Flow struct {
	WABA         string `json:"waba_id"`
	Flow         string `json:"flow_id"`
	Name         string `json:"flow_name"`
	Events       int64  `json:"events"`
	PagesLive    int64  `json:"pages_live"`
	PagesNow     int64  `json:"pages_now"`
	MessagesLive int64  `json:"messages_live"`
	MessagesNow  int64  `json:"messages_now"`
}

func (f *Flow) live(k tellKind) {
	switch k {
	case tellPage:
		f.PagesLive++
	case tellMessage:
		f.MessagesLive++
	}
}

func (f *Flow) now(k tellKind) {
	switch k {
	case tellPage:
		f.PagesNow++
	case tellMessage:
		f.MessagesNow++
	}
}

// Print writes the report for people. clean takes out of a flow's name what a terminal would act on.
func (r *Report) Print(out io.Writer, clean func(text string) string) error {
	const day = "2006-01-02 15:04"
	compared := "the journal holds nothing to compare"
	if r.Compared > 0 {
		compared = fmt.Sprintf("compared from %s to %s UTC (%d events)", r.From.UTC().Format(day), r.To.UTC().Format(day),
			r.Compared)
	}
	fmt.Fprintf(out, "%d events folded through %s in %.1f s; %s\n\n", r.Events, r.Rules, r.Seconds, compared)
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows := [][]string{{"", "live", "these rules", "same", "added", "gone"}}
	for _, c := range []struct {
		name string
		Count
	}{{"pages", r.Pages}, {"messages", r.Messages}, {"change events", r.ChangeEvents}} {
		rows = append(rows, []string{c.name, number(c.Live), number(c.Now), number(c.Same), number(c.Added), number(c.Gone)})
	}
	if err := printAligned(out, rows); err != nil {
		return err
	}
	fmt.Fprint(out, `
live is what the database says that services were told; the rules of that time are not known. A page is an incident opened
at a PagerDuty notifier, a message a new card or notice in a Slack channel, a change event a notice at PagerDuty. Edits of a
card, lines in its thread, acknowledgements and resolves are not counted, and an incident counts once for each notifier,
however often it came back. Two are the same where the same notifier is told of the same flow while the incident lasts.
These rules are played as if every service had answered at once.
`)
	for _, note := range r.Notes() {
		fmt.Fprintln(out, note)
	}
	r.printDifferences(out, clean)
	if len(r.NeverHit) > 0 {
		fmt.Fprint(out, "\nrules never hit in this time\n")
		for _, rule := range r.NeverHit {
			fmt.Fprintf(out, "  %s: %s\n", rule.Place, rule.Rule)
		}
	}
	if len(r.BusiestFlows) > 0 {
		fmt.Fprint(out, "\nbusiest flows\n")
		rows := [][]string{{"  flow", "events", "pages live", "these rules", "messages live", "these rules"}}
		for i, name := range r.busiestNames() {
			f := &r.BusiestFlows[i]
			rows = append(rows, []string{"  " + clean(name), number(f.Events), number(f.PagesLive),
				number(f.PagesNow), number(f.MessagesLive), number(f.MessagesNow)})
		}
		return printAligned(out, rows)
	}
	return nil
}

// busiestNames are what BusiestFlows are called, told apart where several are called the same.
func (r *Report) busiestNames() []string {
	called := make([]router.Called, len(r.BusiestFlows))
	for i, f := range r.BusiestFlows {
		called[i] = router.Called{Name: cmp.Or(f.Name, f.Flow), Account: f.WABA, ID: f.Flow}
	}
	return router.TellApart(called)
}

// Notes says in sentences what the numbers leave out.
func (r *Report) Notes() (notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if n := r.Pages.NotDelivered + r.Messages.NotDelivered + r.ChangeEvents.NotDelivered; n > 0 {
		note(
			"%d more that these rules tell were owed live too, but did not reach their service: parked, still waiting, or "+
				"over before it was told.", n)
	}
	if r.ActsLeftOut > 0 {
		note("%d acts of people concern incidents that these rules do not open, and are left out.", r.ActsLeftOut)
	}
	if r.Reduced > 0 {
		note("Of %d events not all that they said is kept (filled forms, what a rule drops, what was forgotten): a rule "+
			"with when or fields may decide otherwise.", r.Reduced)
	}
	if r.DeliveriesLeftOut > 0 {
		note("%d events about deliveries that needed a person are left out: whether these rules would have met them is "+
			"not known.", r.DeliveriesLeftOut)
	}
	return notes
}

func (r *Report) printDifferences(out io.Writer, clean func(text string) string) {
	if len(r.Differences) == 0 {
		fmt.Fprint(out, "\nno difference: these rules tell what was told\n")
		return
	}
	fmt.Fprint(out, "\ndifferences\n")
	for _, d := range r.Differences {
		if d.Added > 0 {
			fmt.Fprintf(out, "  +%d %s to %s by rule %q (%s)\n", d.Added, plural(d.Kind, d.Added), d.Notifier, d.Rule, d.Place)
		}
		if d.Gone > 0 {
			fmt.Fprintf(out, "  -%d %s to %s by what was rule %q\n", d.Gone, plural(d.Kind, d.Gone), d.Notifier, d.Rule)
		}
		for _, e := range d.Examples {
			sign := "+"
			if e.Gone {
				sign = "-"
			}
			fmt.Fprintf(out, "      %s %s %s\n", sign, e.At.Format("2006-01-02 15:04"), clean(e.What()))
		}
	}
}

// printAligned prints rows in columns.
func printAligned(w io.Writer, rows [][]string) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(out, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return out.Flush()
}

// plural writes a word for a number of things.
func plural(word string, n int64) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
