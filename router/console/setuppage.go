package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// Check is what one look at the setup found. No secret is in it.
type Check struct {
	Status string // ok, warn or FAIL
	Name   string
	Seen   string
	Do     string // how to mend it; "" where all is well
}

const (
	// checksKept is how long what was found stands: the services are asked each time.
	checksKept = time.Minute
	// checksTime bounds a look: services are asked at the same time, each for at most half a minute.
	checksTime = 40 * time.Second
)

// checks keeps what the last look at the setup found. One looks at a time, and the others wait for what comes of it.
type checks struct {
	turn  chan struct{}
	once  sync.Once
	at    time.Time
	found []Check
}

// examined returns what was found in the last minute, and when.
func (c *Console) examined(ctx context.Context) ([]Check, time.Time, error) {
	k := &c.checks
	k.once.Do(func() { k.turn = make(chan struct{}, 1) })
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
	now := c.cfg.Now()
	if age := now.Sub(k.at); k.at.IsZero() || age >= checksKept || age < 0 {
		found := c.cfg.Examine(ctx)
		if err := ctx.Err(); err != nil { // what was cut short says nothing of the services
			return nil, time.Time{}, err
		}
		k.found, k.at = found, now
	}
	return k.found, k.at, nil
}

func (c *Console) setupRoutes() []pageRoute {
	return []pageRoute{{Method: http.MethodGet, Path: "/setup", Nav: "/setup", View: c.setupPage, Limit: checksTime}}
}

// setupView is what the page of the setup shows.
type setupView struct {
	Looked  bool
	At      time.Time
	Verdict string
	Class   string
	Groups  []setupGroup
}

// setupGroup is the checks of one side.
type setupGroup struct {
	Name   string
	Checks []setupCheck
	Guide  string // page of the manual
}

// setupCheck is a check with what to copy.
type setupCheck struct {
	Check
	Class, Command string
	When           time.Time
}

// setupSides are the groups, by how the names of their checks begin.
var setupSides = []struct {
	name, guide string
	begins      []string
}{
	{"Meta", "/docs/connect", []string{"meta", "graph", "webhook"}},
	{"Slack", "/docs/connect", []string{"slack"}},
	{"PagerDuty", "/docs/connect", []string{"pagerduty"}},
	{"Address", "/docs/running", []string{"public", "certificate", "admin", "view", "address", "tls"}},
	{"Clock", "", []string{"clock"}},
	{"Disk", "/docs/running", []string{"disk"}},
	{"Database", "/docs/running", []string{"database"}},
	{"Rules", "/docs/rules", []string{"rules", "secret files"}},
	{"Other", "", []string{""}},
}

// sightWords are what was seen of Meta, as the first-run list says it.
var sightWords = []struct {
	what             router.SightKind
	name, never, do  string
	command, ifNever string // of the check
}{
	{router.SightHandshake, "Handshake", "Meta has not called the address yet",
		"Give Meta's dashboard the address and META_VERIFY_TOKEN, and press Verify and save.", "", StatusWarn},
	{router.SightPost, "Last good post", "Nothing has come from Meta yet",
		"Subscribe to the field flows in Meta's dashboard, or post a signed sample event yourself.",
		"flowbridge send --event ENDPOINT_ERROR_RATE --threshold 10 --value 14.28", StatusWarn},
	{router.SightBadPost, "Bad signatures", "none", "", "", StatusOK},
	{router.SightSlackPress, "Last press or command in Slack", "nobody has pressed a button yet", "", "", StatusOK},
	{router.SightPagerDutyWebhook, "Last webhook of PagerDuty", "none yet", "", "", StatusOK},
}

// The states of a check, as doctor calls them.
const (
	StatusOK   = "ok"
	StatusWarn = "warn"
	StatusFail = "FAIL"
)

// setupPage: GET /setup
func (c *Console) setupPage(r *http.Request, _ httprouter.Params) (page, error) {
	v := setupView{}
	var all []setupCheck
	seen, err := c.store.Seen(r.Context())
	if err != nil {
		return page{}, err
	}
	all = append(all, sightChecks(seen)...)
	if c.cfg.Examine != nil {
		found, at, err := c.examined(r.Context())
		if err != nil {
			return page{}, refuse(http.StatusServiceUnavailable,
				"the look at the setup took too long: try again, or run flowbridge doctor")
		}
		v.Looked, v.At = true, at
		for _, one := range found {
			if !strings.HasPrefix(strings.ToLower(one.Name), "seen of ") { // said better above
				all = append(all, setupCheck{Check: one, Command: commandIn(one.Do)})
			}
		}
	}
	v.Groups = setupGroups(all)
	v.Verdict, v.Class = setupVerdict(all, v.Looked)
	return page{Title: "Setup", Template: "setup", Data: v}, nil
}

// sightChecks says what was seen of the other sides.
func sightChecks(seen []router.Sight) (all []setupCheck) {
	at := map[router.SightKind]router.Sight{}
	for _, one := range seen {
		at[one.What] = one
	}
	for _, w := range sightWords {
		name := w.name
		one, ok := at[w.what]
		check := setupCheck{Check: Check{Status: StatusOK, Name: name, Seen: one.Detail}, When: one.At}
		if !ok {
			check.Check, check.Command = Check{Status: w.ifNever, Name: name, Seen: w.never, Do: w.do}, w.command
		}
		if w.what == router.SightBadPost && ok && one.At.After(at[router.SightPost].At) {
			check.Status, check.Do = StatusWarn,
				"If Meta sent it, META_APP_SECRET is not this app's: compare it with App settings, Basic, App secret."
		}
		all = append(all, check)
	}
	return all
}

// sideOf returns the place of a check among the groups.
func sideOf(check *setupCheck) int {
	name := strings.ToLower(check.Name)
	switch { // of what was seen the names are for people
	case slices.Contains([]string{"handshake", "last good post", "bad signatures"}, name):
		name = "meta"
	case strings.HasSuffix(name, "in slack"):
		name = "slack"
	case strings.HasSuffix(name, "of pagerduty"):
		name = "pagerduty"
	}
	name = strings.NewReplacer("_", " ").Replace(name)
	return slices.IndexFunc(setupSides, func(s struct {
		name, guide string
		begins      []string
	}) bool {
		return slices.ContainsFunc(s.begins, func(begin string) bool { return strings.HasPrefix(name, begin) })
	})
}

func setupGroups(all []setupCheck) (groups []setupGroup) {
	sides := make([]setupGroup, len(setupSides))
	for i := range all {
		all[i].Class = map[string]string{StatusOK: "ok", StatusWarn: "", StatusFail: "bad"}[all[i].Status]
		at := sideOf(&all[i])
		sides[at].Checks = append(sides[at].Checks, all[i])
	}
	for i, g := range sides {
		if len(g.Checks) > 0 {
			g.Name, g.Guide = setupSides[i].name, setupSides[i].guide
			groups = append(groups, g)
		}
	}
	return groups
}

// setupVerdict says in a sentence how it stands.
func setupVerdict(all []setupCheck, looked bool) (text, class string) {
	fails, warns := 0, 0
	for i := range all {
		switch all[i].Status {
		case StatusFail:
			fails++
		case StatusWarn:
			warns++
		}
	}
	switch {
	case fails > 0:
		return counted(fails, "thing") + " will not work, and " + counted(warns, "warning") + ".", "critical"
	case warns > 0:
		return "Nothing has failed. There " + map[bool]string{true: "is ", false: "are "}[warns == 1] +
			counted(warns, "warning") + ".", "warning"
	case !looked:
		return "Nothing bad was seen.", "good"
	}
	return "All is well.", "good"
}

// commandIn returns the command that an advice names, as in "run: flowbridge check rules.yaml; and then"; "" for none.
func commandIn(do string) string {
	_, command, ok := strings.Cut(do, "run: ")
	if !ok {
		return ""
	}
	command, _, _ = strings.Cut(command, ";")
	return strings.TrimSpace(command)
}

// counted writes how many there are of something: "1 warning", "3 warnings".
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}
