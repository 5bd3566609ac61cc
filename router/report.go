package router

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// ReportFilter says what a report is about.
type ReportFilter struct {
	From, To time.Time      // what happened from one time on and before another
	Team     string         // incidents with this label team alone; "" for all
	Zone     *time.Location // whose nights count. Default: UTC
}

// ReportData is what the store knows of such a time: what Report is made of.
type ReportData struct {
	Incidents []Incident // that were not resolved at some time of it, or opened in it; by number
	Entries   []Entry    // of their timelines: EntryPaged, EntryReminded, EntryAcknowledged and EntryFlapped, oldest first
	Changes   []Event    // changes of status of their subjects
	Silences  []Silence  // that hold now
	Parked    []Parked   // deliveries that need a person now
	Cut       bool       // there was more than one report takes, and the newest of it are here
}

// Parked counts the deliveries to a notifier that are parked.
type Parked struct {
	Notifier string `json:"notifier"`
	Count    int64  `json:"count"`
}

// Report says what a shift or a week was like. Programs read it as JSON.
type Report struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Team string    `json:"team"` // "" for all
	Zone string    `json:"zone"` // of the nights, 22:00 to 06:00

	Incidents  int64 `json:"incidents"` // opened in this time
	Before     int64 `json:"before"`    // were open as it began
	Resolved   int64 `json:"resolved"`  // in this time
	Pages      int64 `json:"pages"`     // also second pages and reminders
	NightPages int64 `json:"night_pages"`
	Flaps      int64 `json:"flaps"` // incidents came back so often while their recovery was held back

	Acknowledge Spread `json:"acknowledge"` // from the opening to the first acknowledgement, of those opened in this time
	Resolve     Spread `json:"resolve"`     // from the opening to the end, of those resolved in this time

	Statuses []ReportStatus  `json:"statuses"` // by the flow's status that was trouble, the longest first
	Flows    []ReportLine    `json:"flows"`    // by what they are about, the most pages first
	Signals  []ReportLine    `json:"signals"`
	Rules    []ReportLine    `json:"rules"`           // that opened them: the first is the noisiest
	Open     []ReportOpen    `json:"still_open"`      // the worst of them: see StillOpen
	Ending   []ReportSilence `json:"silences_ending"` // within a day after it
	Parked   []Parked        `json:"parked"`          // now
	Cut      bool            `json:"cut"`             // there was more than one report takes: the newest of it was counted
}

// StillOpen returns how many incidents were open as the time ended, also those that are not listed.
func (r *Report) StillOpen() int64 { return r.Before + r.Incidents - r.Resolved }

// FlowsApart returns the lines of Flows, those that are called the same told apart by their names.
func (r *Report) FlowsApart() []ReportLine {
	lines, all := slices.Clone(r.Flows), make([]Called, len(r.Flows))
	for i, l := range lines {
		all[i] = Called{Name: l.Name, Account: cmp.Or(l.Account, l.WABA), ID: l.Key}
	}
	for i, name := range TellApart(all) {
		lines[i].Name = name
	}
	return lines
}

// Spread is how long something took.
type Spread struct {
	Count    int64   `json:"count"`
	Median   float64 `json:"median_seconds"`
	Worst    float64 `json:"worst_seconds"`
	Incident int64   `json:"worst_incident"` // number of the incident that took the longest; 0 for none
}

// ReportStatus is how long flows were in a status that is trouble.
type ReportStatus struct {
	Status  string  `json:"status"`
	Minutes float64 `json:"minutes"`
	Flows   int64   `json:"flows"`
}

// ReportLine is what one flow, signal or rule came to.
type ReportLine struct {
	Key        string  `json:"key"` // id of the flow, or Subject.Key; key of the signal; name of the rule
	WABA       string  `json:"waba_id,omitempty"`
	Account    string  `json:"account_name,omitempty"`
	Name       string  `json:"name"`
	Incidents  int64   `json:"incidents"`
	Pages      int64   `json:"pages"`
	NightPages int64   `json:"night_pages"`
	Flaps      int64   `json:"flaps"`
	Minutes    float64 `json:"minutes"` // of a flow: in a status that is trouble
}

// ReportOpen is an incident that was not over at the end.
type ReportOpen struct {
	Number   int64     `json:"number"`
	What     string    `json:"what"`
	Severity string    `json:"severity"`
	State    string    `json:"state"` // as it is now
	OpenedAt time.Time `json:"opened_at"`
	Owner    string    `json:"owner"`
}

// ReportSilence is a silence that ends soon.
type ReportSilence struct {
	ID    string    `json:"id"`
	Of    string    `json:"of"`
	Until time.Time `json:"until"`
	By    string    `json:"by"`
	Why   string    `json:"why"`
}

const (
	// nightBegins and nightEnds are the hours between which a page wakes somebody.
	nightBegins, nightEnds = 22, 6
	// mostOpen bounds what is listed as still open, the worst first.
	mostOpen = 100
	// endsSoon is how long after a report a silence ends that the next shift should know of.
	endsSoon = 24 * time.Hour
)

// reporter is the working state of NewReport.
type reporter struct {
	f       ReportFilter
	out     Report
	byNum   map[int64]*Incident
	flows   map[string]*ReportLine
	signals map[string]*ReportLine
	rules   map[string]*ReportLine
}

// NewReport makes a report of what the store knows. It counts the same whoever asks: the console, the API or a
// schedule.
func NewReport(f ReportFilter, d *ReportData) Report {
	if f.Zone == nil {
		f.Zone = time.UTC
	}
	r := reporter{f: f, byNum: map[int64]*Incident{}, flows: map[string]*ReportLine{}, signals: map[string]*ReportLine{},
		rules: map[string]*ReportLine{},
		out: Report{From: f.From.UTC(), To: f.To.UTC(), Team: f.Team, Zone: f.Zone.String(), Cut: d.Cut,
			Statuses: []ReportStatus{}, Open: []ReportOpen{}, Ending: []ReportSilence{},
			Parked: append([]Parked{}, d.Parked...)}}
	for i := range d.Incidents {
		if inc := &d.Incidents[i]; !IsDrill(inc.Flow) && (f.Team == "" || inc.Labels["team"] == f.Team) {
			r.byNum[inc.Number] = inc
		}
	}
	r.incidents()
	r.entries(d.Entries)
	r.statuses(d.Changes)
	r.silences(d.Silences)
	r.out.Flows, r.out.Signals, r.out.Rules = noisiest(r.flows), noisiest(r.signals), noisiest(r.rules)
	slices.SortFunc(r.out.Parked, func(a, b Parked) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Notifier, b.Notifier))
	})
	return r.out
}

// in says whether something happened in the time of the report.
func (r *reporter) in(at time.Time) bool { return !at.Before(r.f.From) && at.Before(r.f.To) }

// lines returns the lines that an incident counts on.
func (r *reporter) lines(inc *Incident) []*ReportLine {
	of := func(m map[string]*ReportLine, id, key, waba, name string) *ReportLine {
		if m[id] == nil {
			m[id] = &ReportLine{Key: key, WABA: waba}
		}
		if name != "" {
			m[id].Name = name
		}
		return m[id]
	}
	flow := of(r.flows, inc.WABA+" "+inc.Flow, inc.Flow, inc.WABA, inc.About())
	flow.Account = cmp.Or(inc.AccountName, flow.Account)
	return []*ReportLine{flow, of(r.signals, inc.Event, inc.Event, "", SignalName(inc.Event)),
		of(r.rules, inc.Rule, inc.Rule, "", inc.Rule)}
}

// incidents counts openings and ends, and lists what is still open.
func (r *reporter) incidents() {
	var took []timed
	var open []*Incident
	for _, number := range slices.Sorted(maps.Keys(r.byNum)) {
		inc := r.byNum[number]
		switch {
		case r.in(inc.OpenedAt):
			r.out.Incidents++
			for _, line := range r.lines(inc) {
				line.Incidents++
			}
		case inc.OpenedAt.Before(r.f.From) && (inc.ResolvedAt.IsZero() || !inc.ResolvedAt.Before(r.f.From)):
			r.out.Before++
		default:
			continue
		}
		switch {
		case r.in(inc.ResolvedAt):
			r.out.Resolved++
			took = append(took, timed{number, inc.ResolvedAt.Sub(inc.OpenedAt)})
		case inc.ResolvedAt.IsZero() || !inc.ResolvedAt.Before(r.f.To):
			open = append(open, inc)
		}
	}
	r.out.Resolve = spreadOf(took)
	slices.SortStableFunc(open, func(a, b *Incident) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), a.OpenedAt.Compare(b.OpenedAt))
	})
	for _, inc := range open[:min(len(open), mostOpen)] {
		r.out.Open = append(r.out.Open, ReportOpen{Number: inc.Number, What: inc.What(), Severity: inc.Severity.String(),
			State:    string(inc.State),
			OpenedAt: inc.OpenedAt.UTC(), Owner: cmp.Or(inc.Owner, inc.AcknowledgedBy)})
	}
}

// entries counts pages, acknowledgements and flaps.
func (r *reporter) entries(entries []Entry) {
	var took []timed
	first := map[int64]bool{}
	for i := range entries {
		e := &entries[i]
		inc := r.byNum[e.Incident]
		if inc == nil {
			continue
		}
		// also of one that came after this time, for those opened in it
		if e.Kind == EntryAcknowledged && !first[inc.Number] {
			first[inc.Number] = true
			if r.in(inc.OpenedAt) {
				took = append(took, timed{inc.Number, max(e.At.Sub(inc.OpenedAt), 0)})
			}
		}
		if !r.in(e.At) {
			continue
		}
		if n := e.pages(); n > 0 {
			r.page(inc, e.At, int64(n))
		}
		if e.Kind == EntryFlapped {
			r.out.Flaps++
			for _, line := range r.lines(inc) {
				line.Flaps++
			}
		}
	}
	r.out.Acknowledge = spreadOf(took)
}

// page counts pages of an incident.
func (r *reporter) page(inc *Incident, at time.Time, n int64) {
	night := r.atNight(at)
	lines := r.lines(inc)
	r.out.Pages += n
	for _, line := range lines {
		line.Pages += n
	}
	if night {
		r.out.NightPages += n
		for _, line := range lines {
			line.NightPages += n
		}
	}
}

// pages returns how many pages an entry tells of.
func (e *Entry) pages() int {
	switch e.Kind {
	case EntryPaged:
		return pagedIn(e.Text)
	case EntryReminded, EntryUnacknowledged:
		if strings.Contains(e.Text, ". "+paged(nil)) {
			return pagedIn(e.Text)
		}
	case EntryTold: // of one that had to wait
		if strings.HasPrefix(e.Text, paged(nil)) {
			return 1
		}
	}
	return 0
}

// pagedIn returns how many were paged, by what paged wrote: what stands behind their names tells why.
func pagedIn(text string) int {
	if _, reminded, ok := strings.Cut(text, ". "+paged(nil)); ok { // behind that nobody has it
		text = reminded
	}
	names, _, _ := strings.Cut(strings.TrimPrefix(text, paged(nil)), ", by ")
	names, _, _ = strings.Cut(names, " again: ")
	return 1 + strings.Count(names, ", ")
}

func (r *reporter) atNight(at time.Time) bool {
	hour := at.In(r.f.Zone).Hour()
	return hour >= nightBegins || hour < nightEnds
}

// statuses counts how long flows were in a status that is trouble: those that an incident of the report is about.
func (r *reporter) statuses(changes []Event) {
	ours := map[FlowID]*Incident{}
	for _, inc := range r.byNum {
		ours[FlowID{WABA: inc.WABA, Flow: inc.Flow}] = inc
	}
	total, flows := map[string]*ReportStatus{}, map[string]map[FlowID]bool{}
	for _, p := range StatusPeriods(changes, r.f.From, r.f.To) {
		inc := ours[p.FlowID]
		if inc == nil {
			continue
		}
		if total[p.Status] == nil {
			total[p.Status], flows[p.Status] = &ReportStatus{Status: p.Status}, map[FlowID]bool{}
		}
		total[p.Status].Minutes += p.Duration().Minutes()
		flows[p.Status][p.FlowID] = true
		r.lines(inc)[0].Minutes += p.Duration().Minutes()
	}
	for status, s := range total {
		s.Flows = int64(len(flows[status]))
		r.out.Statuses = append(r.out.Statuses, *s)
	}
	slices.SortFunc(r.out.Statuses, func(a, b ReportStatus) int {
		return cmp.Or(cmp.Compare(b.Minutes, a.Minutes), strings.Compare(a.Status, b.Status))
	})
}

// silences lists those that end soon after the report, the first first.
func (r *reporter) silences(list []Silence) {
	for i := range list {
		s := &list[i]
		if s.UntilRecovered() || !s.Ended.IsZero() || s.Until.Before(r.f.To) || s.Until.After(r.f.To.Add(endsSoon)) {
			continue
		}
		if team := s.Labels["team"]; r.f.Team != "" && team != "" && team != r.f.Team {
			continue
		}
		r.out.Ending = append(r.out.Ending, ReportSilence{ID: s.ID, Of: s.covers(), Until: s.Until.UTC(), By: s.By,
			Why: s.Why})
	}
	slices.SortStableFunc(r.out.Ending, func(a, b ReportSilence) int { return a.Until.Compare(b.Until) })
}

// noisiest sorts lines: the most pages first, then the most incidents.
func noisiest(lines map[string]*ReportLine) []ReportLine {
	out := []ReportLine{}
	for _, line := range lines {
		out = append(out, *line)
	}
	slices.SortFunc(out, func(a, b ReportLine) int {
		return cmp.Or(cmp.Compare(b.Pages, a.Pages), cmp.Compare(b.Incidents, a.Incidents), cmp.Compare(b.Minutes, a.Minutes),
			strings.Compare(a.Name, b.Name), strings.Compare(a.WABA+a.Key, b.WABA+b.Key))
	})
	return out
}

// timed is how long something took of an incident.
type timed struct {
	incident int64
	took     time.Duration
}

func spreadOf(all []timed) (s Spread) {
	if len(all) == 0 {
		return s
	}
	slices.SortStableFunc(all, func(a, b timed) int { return cmp.Compare(a.took, b.took) })
	n := len(all)
	worst := all[n-1]
	return Spread{Count: int64(n), Median: (all[(n-1)/2].took + all[n/2].took).Seconds() / 2, Worst: worst.took.Seconds(),
		Incident: worst.incident}
}
