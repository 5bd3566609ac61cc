package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// Watch is what the file says of how the bridge watches its source.
type Watch struct {
	// After is how long nothing may come from Meta; 0: that is no trouble, or Auto says how long.
	After time.Duration
	// Auto says that it is learned from the journal.
	Auto bool
}

// Watch returns what the file says of it.
func (r *Rules) Watch() Watch { return r.watch }

// Drill is when drills are to be, by the file.
type Drill struct {
	Days int            // every so many days; 0: never
	At   time.Duration  // after midnight
	Zone *time.Location // whose midnight
	Rule string         // that acts; "": those that match
}

// Drill returns what the file says of drills.
func (r *Rules) Drill() Drill { return r.drill }

// Slot returns the newest time of a drill that is not after now; zero if there are none. All processes come to the
// same: days are counted from 1970.
func (d Drill) Slot(now time.Time) time.Time {
	if d.Days == 0 {
		return time.Time{}
	}
	local := now.In(d.Zone)
	at := func(back int) time.Time {
		day := local.AddDate(0, 0, -back)
		return time.Date(day.Year(), day.Month(), day.Day(), 0, int(d.At/time.Minute), 0, 0, d.Zone)
	}
	for back := range d.Days + 1 {
		slot := at(back)
		days := int(time.Date(slot.Year(), slot.Month(), slot.Day(), 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
		if days%d.Days == 0 && !slot.After(now) {
			return slot
		}
	}
	return time.Time{}
}

// watchRoutes are those whom trouble of the bridge's own is told that no rule names.
func (r *Rules) watchRoutes() []route {
	if len(r.watchTells) > 0 {
		return r.watchTells
	}
	fallback, ok := r.Fallback()
	if !ok {
		return nil
	}
	one := route{target: fallback}
	if fallback.Kind.Pages() { // nobody is to be woken by a certificate that ends in two weeks
		one.severities, _ = parseSeveritySet(">=error")
	}
	return []route{one}
}

func (l *loader) watch(e entry) {
	if n := yamldoc.Follow(e.Value); n.Kind != yaml.MappingNode {
		l.Wrong(n, e.Path, "must be a map, not "+yamldoc.Describe(n), "write watch: {after: 24h, notify: [NAME]}")
		return
	}
	o, ok := l.object(e.Value, e.Path, &watchKeys)
	if !ok {
		return
	}
	if e, ok := o.at["after"]; ok {
		if n := yamldoc.Follow(e.Value); n.Kind == yaml.ScalarNode && n.Value == "auto" {
			l.rules.watch.Auto = true
		} else if l.rules.watch.After = l.lasting(e); l.rules.watch.After == 0 && n.Kind == yaml.ScalarNode &&
			strings.Trim(n.Value, "0dhms") == "" {
			l.Wrong(n, e.Path, "must be longer than nothing", "leave it out where silence is no trouble")
		}
	}
	if e, ok := o.at["notify"]; ok {
		l.rules.watchTells = l.notify(e)
	}
	if len(yamldoc.Follow(e.Value).Content) == 0 {
		l.Absent(e.At, e.Path, "is empty", "write after: 24h, or notify: [NAME]")
	}
}

// mostDrillDays bounds how far drills are apart.
const mostDrillDays = 90

func (l *loader) drill(e entry) {
	if n := yamldoc.Follow(e.Value); n.Kind != yaml.MappingNode {
		l.Wrong(n, e.Path, "must be a map, not "+yamldoc.Describe(n), `write drill: {every: 7d, at: "10:00"}`)
		return
	}
	o, ok := l.object(e.Value, e.Path, &drillKeys)
	if !ok {
		return
	}
	d := Drill{At: 10 * time.Hour, Zone: time.UTC}
	if e, ok := o.at["every"]; ok {
		d.Days = l.days90(e)
	} else if !o.has("every") {
		l.Absent(o.node, yamldoc.Join(o.path, "every"), "is missing", "write every: 7d")
	}
	if e, ok := o.at["at"]; ok {
		d.At = l.clock(e)
	}
	if e, ok := o.at["time_zone"]; ok {
		d.Zone = l.zone(e)
	}
	if e, ok := o.at["rule"]; ok {
		if s, ok := l.Scalar(e.Value, e.Path); ok {
			d.Rule = s.Text
			l.ruleNamed(s)
			l.drillTellsNobody(s)
		}
	}
	l.rules.drill = d
}

// drillTellsNobody warns of a rule for drills that tells only those who page, and are not told of drills.
func (l *loader) drillTellsNobody(s scalar) {
	at := slices.IndexFunc(l.rules.rules, func(rule rule) bool { return rule.name == s.Text })
	if at < 0 || len(l.rules.rules[at].notify) == 0 {
		return
	}
	hears := func(to route) bool { return !to.target.Kind.Pages() || l.rules.drillsPage[to.target.Notifier] }
	if !slices.ContainsFunc(l.rules.rules[at].notify, hears) {
		l.Warn(s.Node, s.Path, "tells nobody of drills: all notifiers of the rule "+s.Written()+" page",
			"add drill: page to one of them, or let the rule tell a chat too")
	}
}

// days90 reads a number of whole days.
func (l *loader) days90(e entry) int {
	s, ok := l.Scalar(e.Value, e.Path)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSuffix(s.Text, "d"))
	if err != nil || !strings.HasSuffix(s.Text, "d") || n < 1 || n > mostDrillDays || s.Text[0] < '1' {
		l.Wrong(s.Node, s.Path, s.Written()+" is no number of days", fmt.Sprintf("write 1d to %dd", mostDrillDays))
		return 0
	}
	return n
}

// clock reads a time of the day.
func (l *loader) clock(e entry) time.Duration {
	s, ok := l.Scalar(e.Value, e.Path)
	if !ok {
		return 0
	}
	at, err := time.Parse("15:04", s.Text)
	if err != nil || len(s.Text) != len("15:04") {
		l.Wrong(s.Node, s.Path, s.Written()+" is no time of the day", `write "10:00", in quotes`)
		return 0
	}
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
}

// ruleNamed checks the name of a rule.
func (l *loader) ruleNamed(s scalar) {
	var known []string
	for i := range l.rules.rules {
		known = append(known, l.rules.rules[i].name)
	}
	if !slices.Contains(known, s.Text) && !l.Partial() {
		l.NoSuch(s.Node, s.Path, "there is no rule "+s.Written(), yamldoc.DidYouMean(s.Text, known))
	}
}

// DrillRule is the field of a drill's value that names the rule that is to act.
const DrillRule = "flowbridge_drill_rule"

// decideDrill says who is told of a drill: whom the rule tells that it names, or the rules that match. Each of them at
// once and without calling anybody by name; who pages only where its entry says so.
func (r *Rules) decideDrill(ev *router.Event, d router.Decision) router.Decision {
	d.FlowInfo = router.FlowInfo{FlowName: router.DrillName, AccountName: router.DrillName}
	d.Drop, d.GroupBy, d.ResolveAfter, d.AcknowledgedFor, d.PageOnRise, d.NoteAutoResolve = false, router.GroupBySignal, 0,
		0, false, true
	var notify []router.Route
	for _, to := range d.Notify {
		if to.Kind.Pages() && !r.drillsPage[to.Notifier] {
			continue
		}
		to.After, to.UnlessAcknowledged, to.Mention, to.Remind = 0, false, nil, 0
		notify = append(notify, to)
	}
	d.Notify = notify
	var named []router.Target
	for _, to := range d.Named {
		if !to.Kind.Pages() || r.drillsPage[to.Notifier] {
			named = append(named, to)
		}
	}
	d.Named = named
	return d
}

// drilled returns the rule that a drill names, or nil. Whatever its match, it acts; a recovery is that of what it was
// told.
func (r *Rules) drilled(ev *router.Event) *rule {
	if !router.IsDrill(ev.Flow) || ev.AlertState != router.Activated {
		return nil
	}
	var value struct {
		Rule string `json:"flowbridge_drill_rule"`
	}
	if json.Unmarshal(ev.Value, &value) != nil || value.Rule == "" {
		return nil
	}
	return r.rule(value.Rule)
}
