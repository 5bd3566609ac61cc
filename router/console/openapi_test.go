package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// described is what the tests read of openapi.json.
type described struct {
	OpenAPI string
	Paths   map[string]map[string]operation
}

type operation struct {
	Parameters []struct{ Name, In string }
	Responses  map[string]struct {
		Ref     string `json:"$ref"`
		Content map[string]struct{ Schema any }
	}
}

func readOpenAPI(t *testing.T) (doc described) {
	t.Helper()
	c, _ := newConsole(t, Config{}, filledStore())
	resp := ask(c, "GET", "/api/v1/openapi.json", "")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	if err := json.Unmarshal([]byte(text(t, resp)), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestTheDescriptionHasEveryRouteAndNoOther compares it with what the mux is given.
func TestTheDescriptionHasEveryRouteAndNoOther(t *testing.T) {
	doc := readOpenAPI(t)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("it is OpenAPI %s", doc.OpenAPI)
	}
	var got, want []string
	for path, operations := range doc.Paths {
		for method := range operations {
			got = append(got, strings.ToUpper(method)+" "+path)
		}
	}
	c, _ := newConsole(t, Config{}, filledStore())
	for _, route := range c.apiRoutes() {
		path := regexp.MustCompile(`:(\w+)`).ReplaceAllString(route.path, "{$1}")
		if route.method == "POST" && path == "/api/v1/deliveries/{id}" {
			path = "/api/v1/deliveries/retry" // the only word that it takes
		}
		want = append(want, route.method+" "+path)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("described:\n%s\nserved:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestTheDescriptionHasEveryKeyOfAQuery asks each list for a key that is none: the answer names those that there are.
func TestTheDescriptionHasEveryKeyOfAQuery(t *testing.T) {
	c, _ := newConsole(t, Config{}, filledStore())
	lists := 0
	for path, operations := range readOpenAPI(t).Paths {
		var described []string
		for _, p := range operations["get"].Parameters {
			if p.In == "query" {
				described = append(described, strings.Replace(p.Name, "label", labelKey+"<name>", 1))
			}
		}
		if len(described) == 0 {
			continue
		}
		lists++
		_, words, _ := strings.Cut(text(t, ask(c, "GET", path+"?nothing=1", "")), ": use ")
		taken := strings.Split(strings.ReplaceAll(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(words), `"}`)),
			" or ", ", "), ", ")
		slices.Sort(taken)
		slices.Sort(described)
		if !slices.Equal(taken, described) {
			t.Errorf("%s takes\n%v and describes\n%v", path, taken, described)
		}
	}
	if lists < 5 {
		t.Errorf("only %d lists take keys", lists)
	}
}

// TestAnswersAreAsDescribed holds real answers against the schemas: every field is described, and every field that must
// be there is.
func TestAnswersAreAsDescribed(t *testing.T) {
	doc := readOpenAPI(t)
	var raw any
	if err := json.Unmarshal(openAPI, &raw); err != nil {
		t.Fatal(err)
	}
	strict(raw)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("openapi.json", raw); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, tt := range []struct{ method, path, body, described string }{
		{"GET", "/api/v1/incidents", "", "/api/v1/incidents"},
		{"GET", "/api/v1/incidents?limit=1", "", "/api/v1/incidents"},
		{"GET", "/api/v1/incidents?state=closed", "", "/api/v1/incidents"},
		{"GET", "/api/v1/incidents/42", "", "/api/v1/incidents/{number}"},
		{"GET", "/api/v1/incidents/43", "", "/api/v1/incidents/{number}"},
		{"POST", "/api/v1/incidents/42/acknowledge", `{"by": "ada"}`, "/api/v1/incidents/{number}/acknowledge"},
		{"POST", "/api/v1/incidents/40/acknowledge", "", "/api/v1/incidents/{number}/acknowledge"},
		{"POST", "/api/v1/incidents/41/unacknowledge", "", "/api/v1/incidents/{number}/unacknowledge"},
		{"POST", "/api/v1/incidents/42/unacknowledge", "", "/api/v1/incidents/{number}/unacknowledge"},
		{"POST", "/api/v1/incidents/42/resolve", strings.Repeat(" ", 5000), "/api/v1/incidents/{number}/resolve"},
		{"POST", "/api/v1/incidents/42/reopen", "", "/api/v1/incidents/{number}/reopen"},
		{"POST", "/api/v1/incidents/42/page", "", "/api/v1/incidents/{number}/page"},
		{"GET", "/api/v1/events", "", "/api/v1/events"},
		{"GET", "/api/v1/events/101", "", "/api/v1/events/{seq}"},
		{"GET", "/api/v1/events/102", "", "/api/v1/events/{seq}"},
		{"GET", "/api/v1/events/103", "", "/api/v1/events/{seq}"},
		{"GET", "/api/v1/deliveries", "", "/api/v1/deliveries"},
		{"GET", "/api/v1/deliveries/9", "", "/api/v1/deliveries/{id}"},
		{"GET", "/api/v1/deliveries/1000", "", "/api/v1/deliveries/{id}"},
		{"GET", "/api/v1/rules", "", "/api/v1/rules"},
		{"GET", "/api/v1/rules/aa11", "", "/api/v1/rules/{digest}"},
		{"GET", "/api/v1/rules/cc33", "", "/api/v1/rules/{digest}"},
		{"GET", "/api/v1/seen", "", "/api/v1/seen"},
		{"GET", "/api/v1/report?from=30d", "", "/api/v1/report"},
		{"GET", "/api/v1/report?from=yesterday", "", "/api/v1/report"},
		{"POST", "/api/v1/deliveries/retry", `{"notifier": "ops-chat"}`, "/api/v1/deliveries/retry"},
		{"POST", "/api/v1/deliveries/9/retry", "", "/api/v1/deliveries/{id}/retry"},
		{"GET", "/api/v1/silences", "", "/api/v1/silences"},
		{"GET", "/api/v1/silences?all=true&limit=2", "", "/api/v1/silences"},
		{"POST", "/api/v1/silences", `{"flow": "1987937931743377", "for": "1h"}`, "/api/v1/silences"},
		{"POST", "/api/v1/silences", `{}`, "/api/v1/silences"},
		{"DELETE", "/api/v1/silences/deploying", "", "/api/v1/silences/{id}"},
		{"DELETE", "/api/v1/silences/over", "", "/api/v1/silences/{id}"},
		{"POST", "/api/v1/reload", "", "/api/v1/reload"},
		{"POST", "/api/v1/reload", "again", "/api/v1/reload"},
		{"GET", "/api/v1/audit", "", "/api/v1/audit"},
		{"POST", "/api/v1/forget", `{"phone": "+1 555 010 0200"}`, "/api/v1/forget"},
		{"GET", "/api/v1/openapi.json", "", "/api/v1/openapi.json"},
	} {
		s := filledStore()
		reload := func() error { return nil }
		if tt.body == "again" {
			tt.body, reload = "", func() error {
				return errors.New("rules.yaml:3:4: rules[0]: wrong\nrules.yaml:4:4: rules[1]: wrong")
			}
		}
		c, _ := newConsole(t, Config{Reload: reload}, s)
		ask(c, "POST", "/api/v1/deliveries/9/retry", "") // for the audit
		resp := ask(c, tt.method, tt.path, tt.body)
		status, method := strconv.Itoa(resp.StatusCode), strings.ToLower(tt.method)
		name := tt.method + " " + tt.path + " " + status
		seen[tt.method+" "+tt.described] = true
		answer, ok := doc.Paths[tt.described][method].Responses[status]
		if !ok {
			t.Errorf("%s is not described", name)
			continue
		}
		at := "openapi.json#/paths/" + strings.ReplaceAll(tt.described, "/", "~1") + "/" + method + "/responses/" + status +
			"/content/application~1json/schema"
		if answer.Ref != "" {
			at = "openapi.json" + answer.Ref + "/content/application~1json/schema"
		}
		schema, err := compiler.Compile(strings.NewReplacer("{", "%7B", "}", "%7D").Replace(at))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body := text(t, resp)
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := schema.Validate(instance); err != nil {
			t.Errorf("%s: %v\n%s", name, err, body)
		}
	}
	for path, operations := range doc.Paths {
		for method := range operations {
			if name := strings.ToUpper(method) + " " + path; !seen[name] {
				t.Errorf("no answer of %s was looked at", name)
			}
		}
	}
}

// strict makes every schema with fields refuse others: fields may be added to the API, and are then described.
func strict(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, inner := range slices.Collect(maps.Values(v)) {
			strict(inner)
		}
	case []any:
		for _, inner := range v {
			strict(inner)
		}
	}
}
