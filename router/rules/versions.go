package rules

import (
	"regexp"
	"strings"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// versionForm is how versions of the Flow JSON are written.
var versionForm = regexp.MustCompile(whole(router.FlowVersionForm))

// versions reads on which days versions of the Flow JSON expire.
func (l *loader) versions(e entry) {
	all, ok := l.Mapping(e.Value, e.Path)
	if !ok {
		return
	}
	for _, of := range all {
		if !versionForm.MatchString(of.Key) {
			l.Wrong(of.At, of.Path, yamldoc.Quote(of.Key)+" is no version of the Flow JSON", `write it as Meta does: "5.0"`)
			continue
		}
		if !l.name("version", of.Key, of) {
			continue
		}
		s, ok := l.Scalar(of.Value, of.Path)
		if !ok {
			continue
		}
		day, err := time.Parse(time.DateOnly, strings.TrimSpace(s.Text))
		if err != nil {
			l.Wrong(s.Node, s.Path, s.Written()+" is no date", "write the day on which it expires: 2026-12-24")
			continue
		}
		if l.rules.versions == nil {
			l.rules.versions = map[string]time.Time{}
		}
		l.rules.versions[of.Key] = day.Add(router.HourOfEnd)
	}
}

// VersionEnds returns when a version of the Flow JSON expires, and whose word that is: that of the file, or else of
// Meta's changelog. It is zero where neither says so.
func (r *Rules) VersionEnds(version string) (ends time.Time, by router.EndsBy) {
	if ends, ok := r.versions[version]; ok {
		return ends, router.EndsByRules
	}
	if ends = router.FlowVersionOf(version).Expires; !ends.IsZero() {
		return ends, router.EndsByChangelog
	}
	return time.Time{}, ""
}

// ends returns when what an event reports ends: by the version that it names, or else by its own words.
func (r *Rules) ends(ev *router.Event) (ends time.Time, by router.EndsBy) {
	if signal := router.SignalOf(ev.SignalKey()); !signal.Counts || ev.AlertState == router.Deactivated {
		return time.Time{}, ""
	}
	if ends, by = r.VersionEnds(ev.FlowVersion()); ends.IsZero() {
		if ends = ev.SaidEnd(); !ends.IsZero() {
			by = router.EndsByWarning
		}
	}
	return ends, by
}
