package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	"flowbridge/router/graph"
	databases "flowbridge/router/store/storetest"
)

const testGraphToken = "EAAG-token-of-the-test"

// namesRules name one flow; Graph calls it something else.
const namesRules = `version: 1
flows: {"78": {name: Refunds}}
notifiers:
  chat: {kind: slack, channel: "#ops"}
rules:
  - name: everything
    match: {field: flows}
    notify: [chat]
  - name: account
    match: {field: [account_review_update, phone_number_quality_update]}
    notify: [chat]
`

// withGraph adds a Graph that knows a few names.
func (s *services) withGraph(t *testing.T) *sandbox.Graph {
	t.Helper()
	g := sandbox.NewGraph(sandbox.GraphConfig{Token: testGraphToken})
	g.Account("501", "Acme EU")
	g.Flow("77", "Checkout\n*now*", "PUBLISHED")
	g.Flow("78", "not what the rules say", "PUBLISHED")
	g.Flow("79", "Returns", "PUBLISHED")
	server := httptest.NewServer(g)
	t.Cleanup(func() {
		g.ClearFaults()
		server.CloseClientConnections()
		server.Close()
	})
	s.env = append(s.env, "META_GRAPH_URL="+server.URL)
	return g
}

// graphCalls lists what was asked for and answered.
func graphCalls(g *sandbox.Graph) (ids []string) {
	for _, call := range g.Calls() {
		if call.Status != 0 && call.Action == "" { // names, not health
			ids = append(ids, call.Method)
		}
	}
	slices.Sort(ids)
	return ids
}

// rootsOf returns the cards of a channel, without what stands in their threads.
func rootsOf(chat *sandbox.Slack) []sandbox.Message {
	return slices.DeleteFunc(chat.Messages("#ops"), func(m sandbox.Message) bool { return m.ThreadTS != "" })
}

// cardText is all that a card says.
func cardText(m sandbox.Message) string { return m.Text + string(m.Blocks) + string(m.Attachments) }

// TestACardHasTheNameFromGraphAtTheSecondEvent runs the bridge with a Graph that names what the rules do not.
func TestACardHasTheNameFromGraphAtTheSecondEvent(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	s := newServices(t, "#ops")
	g := s.withGraph(t)
	token := filepath.Join(t.TempDir(), "token")
	writeFile(t, token, testGraphToken+"\n")
	s.env = append(s.env, "META_ACCESS_TOKEN=", "META_ACCESS_TOKEN_FILE="+token, "FLOWBRIDGE_LOG_LEVEL=debug")
	p := start(t, s, writeRules(t, namesRules), databases.File(t))
	card := func(n int, want ...string) {
		t.Helper()
		defer func() {
			if cards := rootsOf(s.Slack); t.Failed() && len(cards) > n {
				t.Logf("it says %s", cardText(cards[n]))
			}
		}()
		eventually(t, "a card says "+strings.Join(want, ", "), func() bool {
			cards := rootsOf(s.Slack)
			if len(cards) <= n {
				return false
			}
			return !slices.ContainsFunc(want, func(words string) bool { return !strings.Contains(cardText(cards[n]), words) })
		})
	}
	page := func(path string) string {
		t.Helper()
		resp, err := http.Get(p.Admin + path)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		return string(body)
	}
	// answered waits until so many answers are kept: Graph has given them a moment before.
	answered := func(outcome string, n int) {
		t.Helper()
		line := fmt.Sprintf("flowbridge_graph_calls_total{outcome=%q} %d\n", outcome, n)
		eventually(t, line, func() bool { return strings.Contains(page("/metrics"), line) })
	}
	asked := func(want ...string) {
		t.Helper()
		eventually(t, "Graph is asked for "+strings.Join(want, ", "), func() bool {
			return slices.Equal(graphCalls(g), want)
		})
	}

	p.post(t, pairPost(lately, "77", "ACTIVATED", 5), http.StatusOK)
	card(0, "flow 77")
	asked("/501", "/77")
	answered("ok", 2)
	p.post(t, pairPost(lately+60, "77", "ACTIVATED", 50), http.StatusOK)
	card(0, "Checkout")

	// The rules' own names come first, and are asked of nobody.
	p.post(t, pairPost(lately+120, "78", "ACTIVATED", 50), http.StatusOK)
	card(1, "Refunds")

	// Graph says nothing: nobody waits for it.
	g.Fail(sandbox.Fault{Hang: true})
	p.post(t, pairPost(lately+180, "79", "ACTIVATED", 5), http.StatusOK)
	card(2, "flow 79")
	eventually(t, "Graph hangs",
		func() bool { return slices.ContainsFunc(g.Calls(), func(c sandbox.Call) bool { return c.Status == 0 }) })
	p.post(t, pairPost(lately+240, "79", "ACTIVATED", 50), http.StatusOK)
	card(2, "flow 79", "50 %")
	g.ClearFaults()
	asked("/501", "/77", "/79")

	// A token that is refused is logged, and its file read anew.
	g.Rotate("EAAG-another")
	p.post(t, pairPost(lately+300, "80", "ACTIVATED", 5), http.StatusOK)
	// by a look at how it stands with a flow, or by a name
	eventually(t, "a token is refused", func() bool {
		metrics := page("/metrics")
		return !strings.Contains(metrics, `flowbridge_graph_calls_total{outcome="token"} 0`) ||
			!strings.Contains(metrics, `flowbridge_graph_looks_total{outcome="token"} 0`)
	})
	g.Flow("80", "Sizes", "PUBLISHED")
	if err := os.WriteFile(token, []byte("EAAG-another"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.post(t, pairPost(lately+360, "80", "ACTIVATED", 10), http.StatusOK)
	eventually(t, "Graph has said the name of 80", func() bool {
		return strings.Contains(page("/metrics"), `flowbridge_graph_calls_total{outcome="ok"} 4`)
	})
	p.post(t, pairPost(lately+420, "80", "ACTIVATED", 50), http.StatusOK)
	card(3, "Sizes")

	var pages string
	for _, path := range []string{"/metrics", "/api/v1/incidents", "/api/v1/events"} {
		pages += page(path)
	}
	if !strings.Contains(pages, `"flow_name":"Sizes"`) {
		t.Errorf("the API does not name the flow")
	}
	if !strings.Contains(p.stderr.String(), "put it into META_ACCESS_TOKEN") {
		t.Error("the log does not say what to do about the token")
	}
	sandbox.AssertNoSecret(t, []string{testGraphToken, "EAAG-another"}, p.stderr.String(), pages)
	// The account is known from the first flow of its.
	rejected := `{"id":"501","time":%d,"changes":[{"field":"account_review_update","value":{"decision":"REJECTED"}}]}`
	p.post(t, postOf(fmt.Sprintf(rejected, lately+480)), http.StatusOK)
	card(4, "account Acme EU")
	must(t, p.stop(t))
}

// TestACardNamesANumberThatMetaNamesByItsDigits reads the names of an account's numbers from Graph.
func TestACardNamesANumberThatMetaNamesByItsDigits(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	g := s.withGraph(t)
	for i := range 60 { // more than a page
		g.Number("501", fmt.Sprint(9000+i), fmt.Sprintf("+1 555-078-%04d", i), "Acme")
	}
	s.env = append(s.env, "META_ACCESS_TOKEN="+testGraphToken)
	p := start(t, s, writeRules(t, namesRules), filepath.Join(t.TempDir(), "bridge.db"))
	quality := func(at int64, number, change string) {
		t.Helper()
		const post = `{"id":"501","time":%d,"changes":[{"field":"phone_number_quality_update","value":` +
			`{"display_phone_number":%q,"event":%q,"max_daily_conversations_per_business":"TIER_1K"}}]}`
		p.post(t, postOf(fmt.Sprintf(post, at, number, change)), http.StatusOK)
	}
	card := func(words string) {
		t.Helper()
		eventually(t, "a card says "+words, func() bool {
			return slices.ContainsFunc(rootsOf(s.Slack), func(m sandbox.Message) bool {
				return strings.Contains(cardText(m), words)
			})
		})
	}
	quality(lately, "15550780055", "FLAGGED")
	card("number +15550780055 is flagged")
	eventually(t, "the account and both pages are read", func() bool {
		resp, err := http.Get(p.Admin + "/metrics")
		must(t, err)
		defer resp.Body.Close()
		metrics, err := io.ReadAll(resp.Body)
		must(t, err)
		return strings.Contains(string(metrics), "flowbridge_graph_calls_total{outcome=\"ok\"} 3\n")
	})
	quality(lately+60, "15550780001", "FLAGGED") // of the same list
	card("number +1 555-078-0001 (Acme) is flagged")
	quality(lately+120, "15550780055", "UNFLAGGED")
	card("number +1 555-078-0055 (Acme)")
	want := []string{"/501", "/501/phone_numbers", "/501/phone_numbers"}
	if got := graphCalls(g); !slices.Equal(got, want) {
		t.Errorf("Graph was asked for %q, want %q", got, want)
	}
	must(t, p.stop(t))
}

// TestWithoutATokenGraphIsNotAsked holds that names are a gift: nothing needs them.
func TestWithoutATokenGraphIsNotAsked(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	g := s.withGraph(t)
	p := start(t, s, writeRules(t, namesRules), databases.File(t))
	for i, threshold := range []float64{5, 10, 50} {
		p.post(t, pairPost(lately+int64(60*i), "77", "ACTIVATED", threshold), http.StatusOK)
	}
	eventually(t, "Slack is told", func() bool {
		cards := rootsOf(s.Slack)
		return len(cards) == 1 && strings.Contains(cardText(cards[0]), "50 %")
	})
	must(t, p.stop(t))
	if calls := g.Calls(); len(calls) > 0 {
		t.Errorf("Graph was asked: %+v", calls)
	}
}

// TestGraphAndItsStandInUnderstandEachOther asks for everything that the stand-in knows, and refuses.
func TestGraphAndItsStandInUnderstandEachOther(t *testing.T) {
	t.Parallel()
	g := sandbox.NewGraph(sandbox.GraphConfig{Token: testGraphToken, Hourly: 5})
	g.Account("501", "Acme EU")
	g.Phone("9", "+1 555-0100", "Acme")
	g.Flow("77", "Checkout", "PUBLISHED")
	g.Account("502", "of others")
	g.Deny("502")
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	c, err := graph.New(graph.Config{Token: router.Secret(testGraphToken), URL: server.URL + "/v24.0", Every: 1})
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(t.Context())
	}()
	t.Cleanup(func() { <-done })
	for _, one := range []struct {
		kind            graph.Kind
		id, want, fault string
	}{
		{graph.Account, "501", "Acme EU", ""},
		{graph.Phone, "9", "+1 555-0100 (Acme)", ""},
		{graph.Flow, "77", "Checkout", ""},
		{graph.Account, "502", "", "permission"},
		{graph.Flow, "99", "", "Unsupported get request"},
		{graph.Flow, "100", "", "too many calls"},
	} {
		before := len(g.Calls())
		c.Name(one.kind, one.id)
		eventually(t, "Graph is asked for "+one.id, func() bool {
			calls := g.Calls()
			return len(calls) == before+1 && calls[before].Status != 0 && strings.Contains(calls[before].Error, one.fault)
		})
		if one.want != "" {
			eventually(t, one.id+" is called "+one.want, func() bool {
				name, ok := c.Name(one.kind, one.id)
				return ok && name == one.want
			})
		}
	}
}
