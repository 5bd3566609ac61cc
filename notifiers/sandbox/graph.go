package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"flowbridge/router"
)

// GraphConfig is what a stand-in Graph API may be told. A zero field takes its default.
type GraphConfig struct {
	// Token is the only access token that is taken. Required.
	Token router.Secret
	// Hourly is how many calls the app may make within an hour. Default: no limit.
	Hourly int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Graph is a stand-in for the part of Meta's Graph API that names accounts, phone numbers and flows. Its methods may be
// called from several goroutines. The Method of its Calls, and of faults, is the path without the version: "/501".
type Graph struct {
	core
	cfg     GraphConfig
	budget  window
	objects map[string]map[string]any // by id
	denied  map[string]bool
	numbers map[string][]string // ids of phone numbers, by account
}

// NewGraph returns a Graph API that knows nothing but who asks.
func NewGraph(cfg GraphConfig) *Graph {
	return &Graph{
		core: newCore(cfg.Now, 0), cfg: cfg, budget: window{most: cfg.Hourly, per: time.Hour},
		objects: map[string]map[string]any{"me": {"id": "1000000001", "name": "flowbridge"}}, denied: map[string]bool{},
		numbers: map[string][]string{},
	}
}

// Account adds a WhatsApp Business Account, or names it anew.
func (g *Graph) Account(id, name string) { g.add(id, map[string]any{"name": name}) }

// Phone adds a phone number, or names it anew.
func (g *Graph) Phone(id, number, verified string) {
	g.add(id, map[string]any{"display_phone_number": number, "verified_name": verified})
}

// Number adds a phone number to an account: its list has it then.
func (g *Graph) Number(account, id, number, verified string) {
	g.Phone(id, number, verified)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.numbers[account] = append(g.numbers[account], id)
}

// Flow adds a flow, or names it anew: one that is well and has no endpoint.
func (g *Graph) Flow(id, name, status string) {
	g.add(id, map[string]any{"name": name, "status": status, "endpoint_uri": "",
		"health_status": health(id, FlowHealth{}), "json_version": "7.3", "data_api_version": "4.0"})
}

// Version has a flow be of other versions of the Flow JSON and the data API.
func (g *Graph) Version(id, flowJSON, dataAPI string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if object := g.objects[id]; object != nil {
		object["json_version"], object["data_api_version"] = flowJSON, dataAPI
	}
}

// FlowHealth is how it stands with a flow.
type FlowHealth struct {
	Account  string // id of its WhatsApp Business Account. Default: "501".
	CanSend  string // of the flow, and over all. Default: AVAILABLE.
	Error    string // why it is BLOCKED, and what would help
	Solution string
	More     string // why it is LIMITED
}

// Health has a flow stand otherwise: its status, where Meta reaches its endpoint, and its health.
func (g *Graph) Health(id, status, endpoint string, h FlowHealth) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if object := g.objects[id]; object != nil {
		object["status"], object["endpoint_uri"], object["health_status"] = status, endpoint, health(id, h)
	}
}

// health is as Meta writes it: the flow, and what sending it needs.
func health(id string, h FlowHealth) map[string]any {
	flow := map[string]any{"entity_type": "FLOW", "id": id, "can_send_message": cmp.Or(h.CanSend, "AVAILABLE")}
	if h.Error != "" {
		flow["errors"] = []any{map[string]any{
			"error_code": 131000, "error_description": h.Error, "possible_solution": h.Solution}}
	}
	if h.More != "" {
		flow["additional_info"] = []any{h.More}
	}
	return map[string]any{"can_send_message": flow["can_send_message"], "entities": []any{
		flow,
		map[string]any{"entity_type": "WABA", "id": cmp.Or(h.Account, "501"), "can_send_message": "AVAILABLE"},
		map[string]any{"entity_type": "BUSINESS", "id": "1000000002", "can_send_message": "AVAILABLE"},
		map[string]any{"entity_type": "APP", "id": "1000000003", "can_send_message": "AVAILABLE"},
	}}
}

// Deny has the token lack the permission for an id.
func (g *Graph) Deny(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.denied[id] = true
}

// Rotate has another token taken instead.
func (g *Graph) Rotate(token router.Secret) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cfg.Token = token
}

func (g *Graph) add(id string, object map[string]any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	object["id"] = id
	g.objects[id] = object
}

// version begins every path.
var version = regexp.MustCompile(`^/v[0-9]+\.[0-9]+/`)

// ServeHTTP answers a call.
func (g *Graph) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if at := version.FindStringIndex(path); at != nil {
		path = path[at[1]-1:]
	}
	g.serve(w, r, path, func([]byte) request { return &graphCall{g: g, r: r, id: strings.TrimPrefix(path, "/")} })
}

// graphCall is one call.
type graphCall struct {
	g  *Graph
	r  *http.Request
	id string
}

func (c *graphCall) note(call *Call) {
	if strings.Contains(c.r.URL.Query().Get("fields"), "health_status") {
		call.Action = "health_status"
	}
}

func (c *graphCall) act(*Call) answer {
	token := strings.TrimPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	id, ofList := strings.CutSuffix(c.id, "/phone_numbers")
	object := c.g.objects[id]
	switch _, ok := c.g.budget.take(c.g.now()); {
	case c.r.URL.Query().Has("access_token"):
		return graphError(http.StatusBadRequest, 100, "the sandbox takes no token in an address")
	case token == "":
		return graphError(http.StatusBadRequest, 104, "An access token is required to request this resource.")
	case token != c.g.cfg.Token.Reveal():
		return graphError(http.StatusUnauthorized, 190, "Malformed access token "+token)
	case !ok:
		return graphError(http.StatusTooManyRequests, 80004,
			"There have been too many calls to this WhatsApp account. Wait a bit and try again.")
	case c.r.Method != http.MethodGet:
		return graphError(http.StatusBadRequest, 100, "Unsupported "+strings.ToLower(c.r.Method)+" request.")
	case c.g.denied[id]:
		return graphError(http.StatusForbidden, 200, "(#200) You do not have permission to access this field.")
	case object == nil:
		return graphError(http.StatusBadRequest, 100, fmt.Sprintf("Unsupported get request. Object with ID '%s' does not "+
			"exist, cannot be loaded due to missing permissions, or does not support this operation.", id))
	case ofList:
		return c.list(id)
	}
	return c.show(object)
}

// list answers with a page of an account's phone numbers.
func (c *graphCall) list(account string) answer {
	query := c.r.URL.Query()
	most, err := strconv.Atoi(cmp.Or(query.Get("limit"), "25"))
	if err != nil || most < 1 {
		return graphError(http.StatusBadRequest, 100, "(#100) Param limit must be a positive number")
	}
	all := c.g.numbers[account]
	from := 0
	if after := query.Get("after"); after != "" {
		if from, err = strconv.Atoi(strings.TrimPrefix(after, "QVFI")); err != nil || from < 0 || from > len(all) {
			return graphError(http.StatusBadRequest, 100, "(#100) Param after is no cursor")
		}
	}
	to := min(from+most, len(all))
	data := []any{}
	for _, id := range all[from:to] {
		one := c.show(c.g.objects[id])
		if one.err != "" {
			return one
		}
		data = append(data, json.RawMessage(one.body))
	}
	cursors := map[string]any{"before": fmt.Sprint("QVFI", from), "after": fmt.Sprint("QVFI", to)}
	paging := map[string]any{"cursors": cursors}
	if to < len(all) {
		paging["next"] = "https://graph.facebook.com/next-page-with-the-token-in-it"
	}
	return jsonAnswer(http.StatusOK, map[string]any{"data": data, "paging": paging})
}

// show answers with the fields of an object that were asked for.
func (c *graphCall) show(object map[string]any) answer {
	out := map[string]any{"id": object["id"]}
	for field := range strings.SplitSeq(c.r.URL.Query().Get("fields"), ",") {
		value, ok := object[field]
		if field != "" && !ok {
			return graphError(http.StatusBadRequest, 100, "(#100) Tried accessing nonexisting field ("+field+")")
		}
		if ok {
			out[field] = value
		}
	}
	return jsonAnswer(http.StatusOK, out)
}

// graphError is an error as Meta writes it.
func graphError(status, code int, message string) answer {
	out := jsonAnswer(status, map[string]any{"error": map[string]any{
		"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "AtraceOfTheSandbox",
	}})
	out.err = message
	return out
}
