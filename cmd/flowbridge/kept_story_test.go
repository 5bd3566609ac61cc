package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/console"
)

// TestWhatIsKeptHoldsNoSecret pages, posts to a webhook whose receiver repeats all that it is sent, and has the rules
// read anew, with credentials written into the rules. Whoever looks back sees what was sent, and no credential.
func TestWhatIsKeptHoldsNoSecret(t *testing.T) {
	t.Parallel()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s", r.URL, r.Header.Get("Webhook-Signature"), echoedSecret)
	}))
	defer echo.Close()
	dir := t.TempDir()
	rules, db := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "bridge.db")
	text := `version: 1 # once ` + testRoutingKey + `
notifiers:
  chat: {kind: slack, channel: "#ops"}
  page: {kind: pagerduty, routing_key: "` + testRoutingKey + `"}
  hook: {kind: webhook, url: "` + echo.URL + `/services/a-path-that-is-a-secret", secret: ` + echoedSecret + `}
  other: {kind: pagerduty, routing_key: "${PD_KEY}"}
rules:
  - {name: everything, match: {field: flows}, notify: [chat, page, hook]}
`
	write := func(text string) {
		if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	s := newServices(t, "#ops")
	p := start(t, s, rules, db)
	p.post(t, pairPost(time.Now().Unix(), "77", router.Activated, 10), 200)

	var said strings.Builder // all that is shown
	read := func(path string, v any) {
		t.Helper()
		var raw json.RawMessage
		p.get(t, path, &raw)
		said.Write(raw)
		if err := json.Unmarshal(raw, v); err != nil {
			t.Fatal(err)
		}
	}
	deliveries := map[string]console.DeliveryDetail{}
	eventually(t, "each of three has an attempt", func() bool {
		var list struct{ Deliveries []console.Delivery }
		p.get(t, "/api/v1/deliveries", &list)
		clear(deliveries)
		for _, d := range list.Deliveries {
			var detail console.DeliveryDetail
			read(fmt.Sprintf("/api/v1/deliveries/%d", d.ID), &detail)
			if len(detail.Log) > 0 {
				deliveries[d.Notifier] = detail
			}
		}
		return len(deliveries) == 3
	})
	for notifier, want := range map[string]struct{ url, request, answer string }{
		"chat": {"/api/chat.postMessage", `"text":`, `"ok":true`},
		"page": {"/v2/enqueue", `"routing_key":"••••••"`, `"status":"success"`},
		"hook": {echo.URL + "/…", `"type":"incident.opened"`, "/•••••• "},
	} {
		call := deliveries[notifier].Log[0].Calls[0]
		if !strings.HasSuffix(call.URL, want.url) || !strings.Contains(call.Request, want.request) ||
			!strings.Contains(strings.ReplaceAll(call.Answer, "••••••", "/••••••"), want.answer) {
			t.Errorf("%s: %+v\nwant %+v", notifier, call, want)
		}
	}

	write(text + "default: {notify: [chat]}\n")
	var list struct {
		InForce  string                 `json:"in_force"`
		Versions []console.RulesVersion `json:"versions"`
		Hits     []console.RuleHits     `json:"hits"`
	}
	eventually(t, "both versions of the rules are kept", func() bool {
		read("/api/v1/rules", &list)
		return len(list.Versions) == 2 && list.Versions[0].InForce && list.Versions[0].By == "reload" &&
			list.Versions[0].Digest == list.InForce
	})
	var inc console.Incident
	read("/api/v1/incidents/1", &inc)
	var version console.RulesText
	read("/api/v1/rules/"+inc.RulesVersion, &version)
	if inc.RulesVersion != list.Versions[1].Digest || version.InForce || len(version.Files) != 1 ||
		version.Files[0].Name != rules ||
		!strings.Contains(version.Files[0].Text, `page: {kind: pagerduty, routing_key: "••••••"}`) ||
		!strings.Contains(version.Files[0].Text, `"${PD_KEY}"`) {
		t.Errorf("the incident's rules: %+v", version)
	}
	if len(list.Hits) != 1 || list.Hits[0].Rule != "everything" || list.Hits[0].Hits != 1 || list.Hits[0].Pages != 1 {
		t.Errorf("hits: %+v", list.Hits)
	}
	eventually(t, "Meta's post was seen", func() bool {
		var seen struct{ Seen []console.Sight }
		read("/api/v1/seen", &seen)
		for _, one := range seen.Seen {
			if one.What == string(router.SightPost) {
				return one.At != nil
			}
		}
		return false
	})
	secrets := []string{testRoutingKey, testSlackToken, testSecret, "a-path-that-is-a-secret",
		strings.TrimPrefix(echoedSecret, "whsec_"), "v1,"}
	for _, secret := range secrets {
		if strings.Contains(said.String(), secret) {
			t.Errorf("%q is shown", secret)
		}
		if found := readable(t, db, secret); len(found) > 0 {
			t.Errorf("%q can be read: %v", secret, found)
		}
	}
}

const echoedSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
