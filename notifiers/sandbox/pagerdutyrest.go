package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"flowbridge/router"
)

// maxRestCalls is how many calls an account takes in a minute. Source: PagerDuty, "REST API rate limits".
const maxRestCalls = 960

// restCall is a call of the REST API.
type restCall struct {
	p    *PagerDuty
	name string
	r    *http.Request
	body []byte
}

// restName returns what a call of the REST API is for: "GET /incidents/{id}". ok is false for anything else.
func restName(r *http.Request) (name string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case r.Method == http.MethodPost && len(parts) == 3 && parts[0] == "incidents" && parts[2] == "notes":
		return "POST /incidents/{id}/notes", true
	case r.Method != http.MethodGet:
		return "", false
	case len(parts) == 1 && (parts[0] == "incidents" || parts[0] == "users"):
		return "GET /" + parts[0], true
	case len(parts) == 2 && (parts[0] == "incidents" || parts[0] == "services"):
		return "GET /" + parts[0] + "/{id}", true
	case len(parts) == 3 && parts[0] == "incidents" && parts[2] == "alerts":
		return "GET /incidents/{id}/alerts", true
	}
	return "", false
}

func (c *restCall) note(call *Call) { call.DedupKey = c.r.URL.Query().Get("incident_key") }

func (c *restCall) act(*Call) answer {
	switch wait, ok := c.p.asked.take(c.p.now()); {
	case c.p.cfg.APIToken == "" || c.r.Header.Get("Authorization") != "Token token="+c.p.cfg.APIToken.Reveal():
		return restError(http.StatusUnauthorized, 2006, "Unauthorized")
	case !ok:
		out := restError(http.StatusTooManyRequests, 2020, "Rate Limit Exceeded")
		out.header.Set("Retry-After", retryAfter(wait))
		return out
	}
	switch c.name {
	case "GET /incidents":
		return c.incidents()
	case "GET /users":
		return c.users()
	case "GET /services/{id}":
		return c.service()
	}
	id := strings.Split(c.r.URL.Path, "/")[2]
	for _, inc := range c.p.incidents {
		switch {
		case inc.ID != id || !c.p.appeared(inc):
		case c.name == "POST /incidents/{id}/notes":
			return c.writeNote(inc)
		case c.name == "GET /incidents/{id}":
			return jsonAnswer(http.StatusOK, map[string]any{"incident": c.p.restData(inc)})
		default:
			return jsonAnswer(http.StatusOK, map[string]any{"alerts": c.p.alerts(inc), "limit": 100, "offset": 0, "more": false})
		}
	}
	return restError(http.StatusNotFound, 2100, "Not Found")
}

func (c *restCall) incidents() answer {
	q := c.r.URL.Query()
	since, _ := time.Parse(time.RFC3339, q.Get("since")) // none is the zero time
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 1 || limit > 100 {
		limit = 25
	}
	list := []any{}
	for _, inc := range slices.Backward(c.p.incidents) {
		if key := q.Get("incident_key"); key != "" && c.p.incidentKey(inc) != key {
			continue
		}
		if statuses := q["statuses[]"]; len(statuses) > 0 && !slices.Contains(statuses, inc.Status) {
			continue
		}
		if c.p.appeared(inc) && !inc.OpenedAt.Before(since) && len(list) < limit {
			list = append(list, c.p.restData(inc))
		}
	}
	if q.Get("sort_by") != "created_at:desc" {
		slices.Reverse(list)
	}
	return jsonAnswer(http.StatusOK, map[string]any{"incidents": list, "limit": limit, "offset": 0, "more": false})
}

// writeNote takes a note in somebody's name.
func (c *restCall) writeNote(inc *Incident) answer {
	var body struct {
		Note struct {
			Content string `json:"content"`
		} `json:"note"`
	}
	from := c.r.Header.Get("From")
	switch err := json.Unmarshal(c.body, &body); {
	case err != nil || body.Note.Content == "":
		return restError(http.StatusBadRequest, 2001, "Invalid Input Provided")
	case !strings.Contains(from, "@"):
		return restError(http.StatusBadRequest, 2001, "Requester User Not Found")
	}
	c.p.addNote(inc, from, body.Note.Content)
	return jsonAnswer(http.StatusOK, map[string]any{"note": map[string]any{"id": "PNOTE", "content": body.Note.Content}})
}

// users lists those who have, or had, something to do.
func (c *restCall) users() answer {
	var names []string
	for _, inc := range c.p.incidents {
		names = append(names, inc.Assignees...)
	}
	slices.Sort(names)
	list := []any{}
	for _, name := range slices.Compact(names) {
		list = append(list, map[string]any{"id": pagerUserID(name), "type": "user", "summary": name, "name": name})
	}
	return jsonAnswer(http.StatusOK, map[string]any{"users": list, "limit": 100, "offset": 0, "more": false})
}

func (c *restCall) service() answer {
	for _, key := range c.p.cfg.RoutingKeys {
		service := c.p.service(key)
		if service["id"] != strings.Split(c.r.URL.Path, "/")[2] {
			continue
		}
		if c.r.URL.Query().Get("include[]") == "integrations" {
			service["integrations"] = []any{map[string]any{"id": "PINTEGR", "type": "events_api_v2_inbound_integration",
				"integration_key": key.Reveal()}}
		}
		return jsonAnswer(http.StatusOK, map[string]any{"service": service})
	}
	return restError(http.StatusNotFound, 2100, "Not Found")
}

// service is that of a routing key: each has one.
func (p *PagerDuty) service(key router.Secret) map[string]any {
	n := slices.Index(p.cfg.RoutingKeys, key) + 1
	return map[string]any{"id": fmt.Sprintf("PSERV%d", n), "type": "service_reference",
		"summary": fmt.Sprintf("Service %d", n)}
}

// appeared says whether the REST API knows of an incident by now.
func (p *PagerDuty) appeared(inc *Incident) bool {
	return !p.now().Before(inc.OpenedAt.Add(p.cfg.Appears))
}

// restData writes an incident as the REST API does.
func (p *PagerDuty) restData(inc *Incident) map[string]any {
	assignments := []any{}
	for _, name := range inc.Assignees {
		assignments = append(assignments, map[string]any{"at": inc.OpenedAt.UTC().Format(time.RFC3339),
			"assignee": user(name)})
	}
	data := p.hookData(inc)
	delete(data, "number")
	delete(data, "assignees")
	data["incident_number"], data["assignments"] = inc.Number, assignments
	data["summary"] = inc.reference()["summary"]
	return data
}

func (p *PagerDuty) alerts(inc *Incident) []any {
	list := []any{}
	for i, a := range inc.Alerts {
		status := IncidentTriggered
		if a.Resolved {
			status = IncidentResolved
		}
		list = append(list, map[string]any{
			"id": fmt.Sprintf("A%d-%d", inc.Number, i+1), "type": "alert", "status": status, "alert_key": a.DedupKey,
			"service": p.service(a.RoutingKey), "incident": inc.reference(),
		})
	}
	return list
}

func restError(status, code int, message string) answer {
	out := jsonAnswer(status, map[string]any{"error": map[string]any{"code": code, "message": message}})
	out.err = message
	return out
}
