package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// mostFlows bounds a list of flows: a page has 60 KB.
const mostFlows = 60

func (c *Console) flowRoutes() []pageRoute {
	return []pageRoute{
		{Method: http.MethodGet, Path: "/flows", Nav: "/flows", View: c.flowsPage, Live: true},
		{Method: http.MethodGet, Path: "/flows/:id", Nav: "/flows", View: c.flowPage, Live: true},
		{Method: http.MethodGet, Path: "/accounts/:id", Nav: "/flows", View: c.accountPage, Live: true},
	}
}

// flowRow is a flow, or another subject, in a list.
type flowRow struct {
	Path, Name, ID  string
	Account         string
	AccountPath     string
	Status          string // THROTTLED or BLOCKED, or ""
	Severity        string // of the worst level that is active, or ""
	Active          int64  // levels that are active
	Last            time.Time
	Unnamed, IsFlow bool
}

// flowList is what the page of flows shows.
type flowList struct {
	Rows     []flowRow
	Accounts []flowRow // of these rows
	YAML     string    // to paste for what the rules do not name
	More     int       // rows that follow
	Next     string    // path of these, or ""
	After    int       // rows that come before
}

func flowPath(id router.FlowID) string {
	return "/flows/" + url.PathEscape(id.Flow) + "?waba=" + url.QueryEscape(id.WABA)
}

// flowNamed says whether the rules name a flow.
func (c *Console) flowNamed(id string) bool {
	return c.cfg.FlowIDs != nil && slices.Contains(c.cfg.FlowIDs(id), id)
}

func (c *Console) accountNamed(id string) bool { return slices.Contains(c.cfg.AccountIDs(id), id) }

// newFlowRow names a subject.
func (c *Console) newFlowRow(f *router.SeenFlow) flowRow {
	row := flowRow{ID: router.OnlyFlow(f.Flow), Account: c.called(c.cfg.AccountName(f.WABA), f.WABA),
		AccountPath: "/accounts/" + url.PathEscape(f.WABA),
		Path:        flowPath(f.FlowID), Status: string(f.Status), Severity: f.Severity.String(),
		Active: f.Active, Last: f.Last}
	if row.IsFlow = row.ID != ""; row.IsFlow {
		row.Name, row.Unnamed = cmp.Or(c.cfg.FlowName(row.ID), row.ID), !c.flowNamed(row.ID)
		return row
	}
	kind, id, _ := strings.Cut(f.Flow, ":")
	if row.Name = strings.TrimSpace(capital(kind) + " " + id); id == "" {
		row.Name = "The account itself"
	}
	return row
}

// seen returns the subjects of an account, or of all for "", with those that only notices told of.
func (c *Console) seen(r *http.Request, waba string) ([]router.SeenFlow, error) {
	found, err := c.store.SeenFlows(r.Context(), waba)
	if err != nil {
		return nil, err
	}
	notices, err := c.store.NewestNotices(r.Context(), router.FlowID{WABA: waba}, maxLimit)
	if err != nil {
		return nil, err
	}
	at := map[router.FlowID]int{}
	for i := range found {
		at[found[i].FlowID] = i
	}
	for i := range notices {
		n := &notices[i]
		id := router.FlowID{WABA: n.WABA, Flow: n.Flow}
		if router.OnlyFlow(n.Flow) == "" || n.WABA == "" {
			continue
		}
		if j, ok := at[id]; ok {
			found[j].Last = later(found[j].Last, n.At)
			continue
		}
		at[id] = len(found)
		found = append(found, router.SeenFlow{FlowID: id, Last: n.At})
	}
	return found, nil
}

// flowsPage: GET /flows
func (c *Console) flowsPage(r *http.Request, _ httprouter.Params) (page, error) {
	found, err := c.seen(r, "")
	if err != nil {
		return page{}, err
	}
	list := flowList{}
	if after := r.URL.Query().Get("after"); after != "" {
		if list.After, err = strconv.Atoi(after); err != nil || list.After < 0 {
			return page{}, refuse(http.StatusBadRequest, "after is how many flows come before, not %q", bounded(after, maxActor))
		}
	}
	found = found[min(list.After, len(found)):]
	if list.More = len(found) - mostFlows; list.More > 0 {
		list.Next, found = fmt.Sprintf("/flows?after=%d", list.After+mostFlows), found[:mostFlows]
	}
	list.Rows, list.YAML = each(found, c.newFlowRow), c.pasteFlows(found)
	for i := range found {
		row := flowRow{Path: "/accounts/" + url.PathEscape(found[i].WABA), Name: c.called(c.cfg.AccountName(found[i].WABA),
			found[i].WABA), Unnamed: !c.accountNamed(found[i].WABA)}
		if !slices.Contains(list.Accounts, row) {
			list.Accounts = append(list.Accounts, row)
		}
	}
	return page{Title: "Flows", Template: "flows", Data: list}, nil
}

// pasteFlows writes what to paste into the rules for flows and accounts that they do not name.
func (c *Console) pasteFlows(found []router.SeenFlow) string {
	flows, accounts := map[string]string{}, map[string]string{}
	more := map[string]bool{}
	add := func(names map[string]string, id, name string) {
		if _, known := names[id]; known || len(names) < mostFlows {
			names[id] = name
		} else {
			more[id] = true
		}
	}
	for i := range found {
		f := &found[i]
		if id := router.OnlyFlow(f.Flow); id != "" && !c.flowNamed(id) {
			add(flows, id, c.cfg.FlowName(id))
		}
		if f.WABA != "" && !c.accountNamed(f.WABA) {
			add(accounts, f.WABA, c.cfg.AccountName(f.WABA))
		}
	}
	var out strings.Builder
	write := func(key, stand string, names map[string]string) {
		if len(names) == 0 {
			return
		}
		fmt.Fprintf(&out, "%s:\n", key)
		for _, id := range slices.Sorted(maps.Keys(names)) {
			fmt.Fprintf(&out, "  %s: {name: %s, team: TEAM}\n", quoted(id), quoted(cmp.Or(names[id], stand)))
		}
	}
	write("flows", "NAME", flows)
	write("accounts", "NAME", accounts)
	if len(more) > 0 {
		fmt.Fprintf(&out, "# and %d more, which are shown here once these have names\n", len(more))
	}
	return out.String()
}

// quoted writes a text as YAML takes it, whatever is in it: JSON is YAML.
func quoted(text string) string {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // the template does that
	if enc.Encode(text) != nil {
		return `""`
	}
	return strings.TrimSpace(out.String())
}
