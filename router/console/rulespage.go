package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// RulesTools is what pages ask of the rules, which the console does not know: whoever makes it hands it in. A nil
// function says that it is not possible here.
type RulesTools struct {
	// Outline lists the rules in force, in the order of the files, `default` last.
	Outline func() []RuleOutline
	// Explain says what the rules in force make of an event, in the lines of `flowbridge explain`. event is JSON in any of
	// the forms that it takes. Its error is for whoever wrote the event.
	Explain func(ctx context.Context, event []byte) (lines string, err error)
	// Try says what other rules would be like, and replays the journal of the last so many days through them, 0 for none.
	// It only reads, tells nobody anything, keeps nothing, and ends with ctx.
	Try func(ctx context.Context, text []byte, days int) (RulesTrial, error)
}

// RuleOutline is a rule as the list shows it.
type RuleOutline struct {
	Name       string
	File       string
	Line       int   // from 1
	Match      []int // lines on which the keys of its match stand
	Notify     []RuleNotify
	Drop       bool
	Continue   bool
	ShadowedBy []string // rules that take every event that it matches
}

// RuleNotify is whom a rule tells.
type RuleNotify struct{ Notifier, Kind, When string }

// RulesTrial is what came of rules that somebody tries.
type RulesTrial struct {
	Mistakes []RuleMistake // warnings too
	Faults   int           // of them, that keep the rules from being loaded: then there is nothing else
	Changed  []RuleChange  // against the rules in force
	Open     int           // incidents that were compared
	Moved    []MovedIncident
	Replay   *RulesReplay // nil where none was asked for
	Cut      bool         // of a list there was more than is here
}

// RuleMistake is a mistake or a warning, with its place.
type RuleMistake struct {
	Line, Column        int
	Path, Problem, Hint string
	Warning             bool
}

// RuleChange is a rule that is new, gone, or tells others.
type RuleChange struct {
	Rule, What string // "new", "gone", "tells others"
	Was, Now   string // whom it tells
}

// MovedIncident is an open incident that the rules would route elsewhere. It stays where it is all the same.
type MovedIncident struct {
	Number   int64
	What     string
	Was, Now string
	Unknown  bool // the event that opened it is not kept: it cannot be compared
}

// RulesReplay is what the journal came to under other rules.
type RulesReplay struct {
	Events, Compared int64
	From, To         time.Time
	Counts           []ReplayCount
	Differences      []ReplayDifference
	NeverHit         []string
	Notes            []string
}

// ReplayCount counts one kind of telling.
type ReplayCount struct {
	What                         string
	Live, Now, Same, Added, Gone int64
}

// ReplayDifference is what one rule tells one notifier otherwise.
type ReplayDifference struct {
	What, Notifier, Rule string
	Added, Gone          int64
	Examples             []string
}

// ErrTrialBusy says that other rules are being replayed: one at a time.
var ErrTrialBusy = errors.New("somebody is replaying rules now: try again in a minute")

const (
	// maxCandidate bounds rules that are pasted, and maxPasted a form with them or with an event: a form may write a
	// character in three.
	maxCandidate = 256 << 10
	maxPasted    = 3*maxCandidate + 4<<10
	// trialTime bounds a replay.
	trialTime = 60 * time.Second
	// maxRulesLines bounds the lines of rules that a page shows.
	maxRulesLines = 5000
	// hitDays is how far back the list of rules looks.
	hitDays = 30
)

func (c *Console) rulesRoutes() []pageRoute {
	return []pageRoute{
		{Method: http.MethodGet, Path: "/rules", Nav: "/rules", View: c.rulesPage},
		{Method: http.MethodGet, Path: "/rules/try", Nav: "/rules", View: c.tryPage},
		{Method: http.MethodPost, Path: "/rules/try", Nav: "/rules", View: c.tryPage, Reads: true, MaxBody: maxPasted},
		{Method: http.MethodGet, Path: "/rules/candidate", Nav: "/rules", View: c.candidatePage},
		{Method: http.MethodPost, Path: "/rules/candidate", Nav: "/rules", View: c.candidatePage, Reads: true,
			MaxBody: maxPasted, Limit: trialTime},
	}
}

// rulesView is what the page of the rules shows.
type rulesView struct {
	Trouble  string // why the rules on disk are not in force
	Version  *RulesVersion
	Old      bool // it is a version that is not in force
	Files    []rulesFile
	Cut      bool
	Rules    []ruleRow
	Versions []RulesVersion
	CanTry   bool
}

// rulesFile is a file with its lines.
type rulesFile struct {
	Name  string
	Lines []rulesLine
}

// rulesLine is a line that can be linked to.
type rulesLine struct {
	ID   string // "L12"; of the second file "F2L12"
	Pad  string // before the number
	N    int
	Text string
}

// ruleRow is a rule with what it did.
type ruleRow struct {
	RuleOutline
	Anchor      string
	Matches     []string // the lines of its match
	Hits, Pages int64
	Last        time.Time
	Never       bool
	Shadow      string
}

// rulesPage: GET /rules?version=
func (c *Console) rulesPage(r *http.Request, _ httprouter.Params) (page, error) {
	q := query{values: r.URL.Query()}
	digest := q.text("version")
	if err := q.err(); err != nil {
		return page{}, err
	}
	inForce := c.cfg.RulesNow()
	v := rulesView{Trouble: c.cfg.Rules(), Old: digest != "" && digest != inForce, CanTry: c.cfg.Tools.Try != nil}
	versions, err := c.store.RulesVersions(r.Context(), 20)
	if err != nil {
		return page{}, err
	}
	v.Versions = each(versions, c.newRulesVersion)
	if digest = cmp.Or(digest, inForce); digest != "" {
		kept, err := c.store.RulesVersion(r.Context(), digest)
		switch {
		case errors.Is(err, router.ErrNotFound) && v.Old:
			return page{}, refuse(http.StatusNotFound, "no rules are kept as %q", bounded(digest, maxActor))
		case errors.Is(err, router.ErrNotFound): // it is written in a moment
		case err != nil:
			return page{}, err
		default:
			v.Version = new(c.newRulesVersion(&kept))
			v.Files, v.Cut = rulesFiles(kept.Files)
		}
	}
	if c.cfg.Tools.Outline != nil && !v.Old {
		hits, err := c.store.RuleHits(r.Context(), c.cfg.Now().AddDate(0, 0, 1-hitDays))
		if err != nil {
			return page{}, err
		}
		v.Rules = ruleRows(c.cfg.Tools.Outline(), hits, v.Files)
	}
	return page{Title: "Rules", Template: "rules", Data: v}, nil
}

// RulesPath leads to a line of a version of the rules, "" where that is not kept or has no such file.
func RulesPath(v *router.RulesVersion, file string, line int) string {
	n := slices.IndexFunc(v.Files, func(f router.RulesFile) bool { return f.Name == file })
	if n < 0 || line < 1 {
		return ""
	}
	return "/rules?version=" + url.QueryEscape(v.Digest) + "#" + rulesAnchor(n, line)
}

// rulesAnchor names a line of the n-th file, from 0: "L12", and of the second "F2L12".
func rulesAnchor(n, line int) string {
	if n == 0 {
		return fmt.Sprintf("L%d", line)
	}
	return fmt.Sprintf("F%dL%d", n+1, line)
}

// rulesFiles splits files into lines with anchors.
func rulesFiles(files []router.RulesFile) (out []rulesFile, cut bool) {
	left := maxRulesLines
	for n, f := range files {
		file := rulesFile{Name: f.Name}
		for i, text := range strings.Split(strings.TrimRight(f.Text, "\n"), "\n") {
			if left--; left < 0 {
				return append(out, file), true
			}
			file.Lines = append(file.Lines, rulesLine{rulesAnchor(n, i+1), strings.Repeat(" ", max(0, 4-len(strconv.Itoa(i+1)))),
				i + 1, strings.ToValidUTF8(text, "\uFFFD")})
		}
		out = append(out, file)
	}
	return out, false
}

// ruleRows puts together what the rules are and what they did.
func ruleRows(outline []RuleOutline, hits []router.RuleHits, files []rulesFile) []ruleRow {
	rows := make([]ruleRow, len(outline))
	for i, o := range outline {
		row := ruleRow{RuleOutline: o}
		if n := slices.IndexFunc(files, func(f rulesFile) bool { return f.Name == o.File }); n >= 0 {
			line := func(at int) *rulesLine {
				if at < 1 || at > len(files[n].Lines) {
					return nil
				}
				return &files[n].Lines[at-1]
			}
			if l := line(o.Line); l != nil {
				row.Anchor = l.ID
			}
			for _, at := range slices.Compact(slices.Clone(o.Match)) {
				if l := line(at); l != nil && len(row.Matches) < 8 {
					row.Matches = append(row.Matches, router.Shorten(strings.TrimSpace(l.Text), 200))
				}
			}
		}
		for _, h := range hits {
			if h.Rule == o.Name {
				row.Hits, row.Pages, row.Last = row.Hits+h.Hits, row.Pages+h.Pages, laterOf(row.Last, h.Last)
			}
		}
		row.Never, row.Shadow = row.Hits == 0, strings.Join(o.ShadowedBy, ", ")
		rows[i] = row
	}
	return rows
}

func laterOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// tryView is what the page shows on which an event is tried.
type tryView struct {
	Seq, Event, Lines, Wrong string
	Recent                   []tryEvent
}

// tryEvent is an event of the journal to choose.
type tryEvent struct {
	Seq         int64
	Name, About string
	At          time.Time
	Chosen      bool
}

// recentTries is how many events of the journal are offered.
const recentTries = 15

// tryPage: GET /rules/try?seq= and POST /rules/try with an event
func (c *Console) tryPage(r *http.Request, _ httprouter.Params) (page, error) {
	if c.cfg.Tools.Explain == nil {
		return page{}, refuse(http.StatusNotFound, "events cannot be tried here")
	}
	asked := cmp.Or(r.PostForm.Get("seq"), r.URL.Query().Get("seq"))
	v := tryView{Seq: bounded(asked, maxActor), Event: r.PostForm.Get("event")}
	event := []byte(v.Event)
	switch {
	case len(event) > maxCandidate:
		v.Wrong, event = "An event of at most 256 KB.", nil
	case strings.TrimSpace(v.Event) == "" && asked != "":
		_, body, err := c.showEvent(r,
			httprouter.Params{{Key: "seq", Value: strings.TrimPrefix(strings.TrimSpace(asked), "#")}})
		refused, ok := errors.AsType[*refusal](err)
		switch {
		case ok:
			v.Wrong = sentence(refused.text)
		case err != nil:
			return page{}, err
		default:
			if event, err = json.Marshal(body); err != nil {
				return page{}, err
			}
		}
	}
	if len(strings.TrimSpace(string(event))) > 0 && v.Wrong == "" {
		lines, err := c.cfg.Tools.Explain(r.Context(), event)
		if err != nil {
			v.Wrong = sentence(err.Error())
		}
		v.Lines = lines
	}
	recent, _, err := c.store.FindEvents(r.Context(), router.EventFilter{Limit: 3 * recentTries})
	if err != nil {
		return page{}, err
	}
	for i := range recent {
		e := &recent[i]
		if e.Source == router.SourceMeta && e.Unreadable == "" && len(v.Recent) < recentTries {
			named := c.named(newEvent(e, nil))
			v.Recent = append(v.Recent, tryEvent{Seq: e.Seq, Name: router.SignalName(e.SignalKey()),
				About: cmp.Or(named.FlowName, named.Flow, named.Subject.Name, named.Subject.ID), At: e.Received,
				Chosen: strconv.FormatInt(e.Seq, 10) == asked})
		}
	}
	shown := page{Title: "Try an event", Template: "try", Data: v}
	if v.Wrong != "" {
		shown.Status = http.StatusBadRequest
	}
	return shown, nil
}

// candidateView is what the page shows on which other rules are tried.
type candidateView struct {
	Text, Wrong string
	Days        []option
	Trial       *RulesTrial
	Replayed    bool
}

// candidatePage: GET and POST /rules/candidate. What is pasted is kept nowhere.
func (c *Console) candidatePage(r *http.Request, _ httprouter.Params) (page, error) {
	if c.cfg.Tools.Try == nil {
		return page{}, refuse(http.StatusNotFound, "other rules cannot be tried here")
	}
	days := r.PostForm.Get("days")
	v := candidateView{Text: strings.ReplaceAll(r.PostForm.Get("rules"), "\r\n", "\n"), Days: choices(days,
		option{Value: "", Text: "Do not replay"}, option{Value: "1", Text: "Replay, compare 1 day"},
		option{Value: "7", Text: "Replay, compare 7 days"}, option{Value: "30", Text: "Replay, compare 30 days"})}
	shown := func(status int) (page, error) {
		return page{Title: "Try other rules", Template: "candidate", Data: v, Status: status}, nil
	}
	if r.Method == http.MethodGet {
		return shown(0)
	}
	n, _ := strconv.Atoi(cmp.Or(days, "0"))
	switch {
	case strings.TrimSpace(v.Text) == "":
		v.Wrong = "Paste rules first."
	case len(v.Text) > maxCandidate:
		v.Wrong, v.Text = "Rules of at most 256 KB.", ""
	case !slices.ContainsFunc(v.Days, func(o option) bool { return o.Value == days }):
		v.Wrong = "A replay compares 1, 7 or 30 days."
	}
	if v.Wrong != "" {
		return shown(http.StatusBadRequest)
	}
	trial, err := c.cfg.Tools.Try(r.Context(), []byte(v.Text), n)
	switch {
	case errors.Is(err, ErrTrialBusy):
		v.Wrong = sentence(err.Error())
		return shown(http.StatusConflict)
	case errors.Is(r.Context().Err(), context.DeadlineExceeded):
		v.Wrong = "It took longer than 60 s, and was ended. Run flowbridge replay beside the database instead."
		return shown(http.StatusServiceUnavailable)
	case err != nil:
		return page{}, err
	}
	v.Trial, v.Replayed = &trial, n > 0
	return shown(0)
}
