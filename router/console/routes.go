package console

import (
	"bytes"
	"cmp"
	_ "embed"
	"net/http"

	"github.com/julienschmidt/httprouter"
)

// openAPI describes the API to programs. A test holds it against the routes, and answers against it.
//
//go:embed openapi.json
var openAPI []byte

// apiRoute is a route of the API.
type apiRoute struct {
	method, path string
	handle       httprouter.Handle
}

// apiRoutes are all routes below /api/.
func (c *Console) apiRoutes() []apiRoute {
	routes := []apiRoute{
		{"GET", "/api/v1/openapi.json", c.showOpenAPI},
		{"GET", "/api/v1/incidents", c.answer(c.listIncidents)},
		{"GET", "/api/v1/incidents/:number", c.answer(c.showIncident)},
		{"GET", "/api/v1/events", c.answer(c.listEvents)},
		{"GET", "/api/v1/events/:seq", c.answer(c.showEvent)},
		{"GET", "/api/v1/deliveries", c.answer(c.listDeliveries)},
		{"GET", "/api/v1/deliveries/:id", c.answer(c.showDelivery)},
		{"POST", "/api/v1/deliveries/:id", c.answerWithin(retryTimeout, c.retryAll)},
		{"POST", "/api/v1/deliveries/:id/retry", c.answer(c.retryDelivery)},
		{"GET", "/api/v1/silences", c.answer(c.listSilences)},
		{"POST", "/api/v1/silences", c.answer(c.addSilence)},
		{"DELETE", "/api/v1/silences/:id", c.answer(c.endSilence)},
		{"GET", "/api/v1/rules", c.answer(c.listRules)},
		{"GET", "/api/v1/rules/:digest", c.answer(c.showRules)},
		{"GET", "/api/v1/seen", c.answer(c.listSeen)},
		{"GET", "/api/v1/report", c.answer(c.showReport)},
		{"POST", "/api/v1/reload", c.answer(c.reload)},
		{"GET", "/api/v1/audit", c.answer(c.listAudit)},
		{"POST", "/api/v1/forget", c.answerWithin(forgetTimeout, c.forget)},
	}
	for word, name := range acts {
		routes = append(routes, apiRoute{"POST", "/api/v1/incidents/:number/" + word, c.answer(c.act(name))})
	}
	return routes
}

// retryAll: POST /api/v1/deliveries/retry. The mux cannot tell the word from an id.
func (c *Console) retryAll(r *http.Request, p httprouter.Params) (int, any, error) {
	if p.ByName("id") != "retry" {
		return 0, nil, refuse(http.StatusNotFound, "there is nothing at %s", r.URL.Path)
	}
	return c.retryDeliveries(r, p)
}

// rootServer is where the API is by its description, which is written for an address without a prefix.
const rootServer = `"servers": [{"url": "/"}]`

// showOpenAPI: GET /api/v1/openapi.json
func (c *Console) showOpenAPI(w http.ResponseWriter, _ *http.Request, _ httprouter.Params) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(bytes.Replace(openAPI, []byte(rootServer), []byte(`"servers": [{"url": "`+cmp.Or(c.cfg.Prefix, "/")+`"}]`), 1))
}
