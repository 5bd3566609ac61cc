package main

import (
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	"flowbridge/router/console"
	databases "flowbridge/router/store/storetest"
)

// browserRules route flows of one team to a channel and to somebody who pages.
const browserRules = `version: 1
flows:
  "1987937931743377": {name: Checkout, team: payments, runbook: https://runbooks.example.com/checkout}
notifiers:
  ops-chat: {kind: slack, channel: "#ops"}
  on-call: {kind: pagerduty, routing_key: "${PD_KEY}"}
rules:
  - name: endpoints
    match: {event: [ENDPOINT_ERROR_RATE, ENDPOINT_LATENCY, ENDPOINT_AVAILABILITY]}
    notify: [ops-chat, {to: on-call, severity: [error, critical]}]
default: {notify: [ops-chat]}
`

const checkoutFlow = "1987937931743377"

// The bars that every page is held to: what a phone has to read, and what of it goes over the wire.
const (
	mostBytes    = 60 << 10
	mostWire     = 20 << 10
	mostRequests = 3
)

// What is looked at of each path: pages that differ in what they show only are not all looked at.
const (
	mostOfAPath      = 8
	mostOfAPathByAxe = 2
)

// pageList are the pages of a console, by the paths that its mux knows.
type pageList map[string][]string

// knownPaths are the paths of all pages that there are, but files.
func knownPaths(t *testing.T) (paths []string) {
	t.Helper()
	c, err := console.New(console.Config{Manual: manualFiles(), ManualPages: manualPages}, struct{ console.Store }{})
	must(t, err)
	for _, path := range c.PagePaths() {
		if ext := filepath.Ext(path); ext == "" {
			paths = append(paths, path)
		}
	}
	return paths
}

// pathOf returns the path in the mux that an address belongs to, "" for none. A word of the mux wins over a name.
func pathOf(known []string, address string) (found string) {
	address, _, _ = strings.Cut(strings.SplitN(address, "#", 2)[0], "?")
	parts := strings.Split(address, "/")
	best := -1
	for _, path := range known {
		words := strings.Split(path, "/")
		if len(words) != len(parts) {
			continue
		}
		same := 0
		for i, word := range words {
			switch {
			case word == parts[i]:
				same++
			case !strings.HasPrefix(word, ":"):
				same = -len(words)
			}
		}
		if same > best {
			best, found = same, path
		}
	}
	return found
}

var (
	linksOnAPage = regexp.MustCompile(`href="(/[^"]*)"`)
	formsOnAPage = regexp.MustCompile(`<form method="get" action="(/[^"]*)"`)
	ticksOnAPage = regexp.MustCompile(`type="checkbox" name="n" value="(\d+)"`)
)

// crawl goes from link to link, as a person does, and returns what it came by.
func crawl(t *testing.T, admin string, known []string, from ...string) pageList {
	t.Helper()
	found := pageList{}
	queue, visited, forms := from, map[string]bool{}, map[string]bool{}
	for len(queue) > 0 {
		address := queue[0]
		queue = queue[1:]
		path := pathOf(known, address)
		if visited[address] || len(found[path]) >= mostOfAPath {
			continue
		}
		visited[address] = true
		if path == "" {
			if !strings.HasPrefix(address, "/assets/") && filepath.Ext(strings.SplitN(address, "?", 2)[0]) == "" {
				t.Errorf("a link leads to %s, where there is no page", address)
			}
			continue
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin+address, nil)
		must(t, err)
		req.Header.Set("Accept", "text/html")
		resp, err := http.DefaultTransport.RoundTrip(req)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		must(t, err)
		if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") && resp.StatusCode == http.StatusOK {
			continue // a file
		}
		if resp.StatusCode != http.StatusOK {
			if resp.StatusCode != http.StatusSeeOther && !forms[address] { // a form without what it asks for may say so
				t.Errorf("a link leads to %s: %s: %s", address, resp.Status, seen(string(body)))
			}
			continue
		}
		found[path] = append(found[path], address)
		for _, form := range formsOnAPage.FindAllStringSubmatch(string(body), -1) {
			address := html.UnescapeString(form[1])
			forms[address] = true
			queue = append(queue, address)
		}
		for _, link := range linksOnAPage.FindAllStringSubmatch(string(body), -1) {
			queue = append(queue, strings.SplitN(html.UnescapeString(link[1]), "#", 2)[0])
		}
		if ticked := ticksOnAPage.FindStringSubmatch(string(body)); ticked != nil {
			queue = append(queue, "/acknowledge?n="+ticked[1])
		}
	}
	return found
}

// all are the pages of a list, at most so many of a path.
func (l pageList) all(most int) (pages []string) {
	for _, path := range slices.Sorted(maps.Keys(l)) {
		pages = append(pages, l[path][:min(most, len(l[path]))]...)
	}
	return pages
}

// fits holds a page to the bars, and to the policy. axeSource is "" where axe-core does not look.
func (b *tab) fits(t *testing.T, base, address string, status int64, axeSource string) {
	t.Helper()
	b.look("light", 1280)
	b.since()
	if got := b.open(base + address); got != status {
		t.Errorf("%s: %d, want %d", address, got, status)
	}
	came := b.since()
	if came.Bytes > mostBytes || came.Wire > mostWire || len(came.Requests) > mostRequests {
		t.Errorf("%s: %d bytes, %d on the wire, %d requests; want at most %d, %d and %d: %s", address, came.Bytes, came.Wire,
			len(came.Requests), mostBytes, mostWire, mostRequests, came.Requests)
	}
	if axeSource != "" {
		b.addAxe(axeSource)
	}
	b.holds(t, address, axeSource != "")
}

// holds looks at the page that is open: how wide it is, what its policy forbade and, if axe-core is in it, what that
// finds.
func (b *tab) holds(t *testing.T, address string, byAxe bool) {
	t.Helper()
	for _, width := range []int64{320, 360, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			b.look(scheme, width)
			if found := b.overflow(); len(found) > 0 {
				t.Errorf("%s is wider than %d px:\n%s", address, width, strings.Join(found, "\n"))
			}
			if width == 320 {
				break
			}
			if !byAxe {
				continue
			}
			if found := b.violations(); len(found) > 0 {
				t.Errorf("%s, %s, %d px:\n%s", address, scheme, width, strings.Join(found, "\n"))
			}
		}
	}
	if found := b.forbidden(); len(found) > 0 {
		t.Errorf("%s does what its policy forbids: %q", address, found)
	}
}

// fit holds all pages of a list to the bars, afresh: nothing of one is in the cache for the next.
func (l pageList) fit(t *testing.T, c *chromium, base, axeSource string) {
	t.Helper()
	byAxe := l.all(mostOfAPathByAxe)
	b := c.tab(t)
	for _, address := range l.all(mostOfAPath) {
		source := ""
		if slices.Contains(byAxe, address) {
			source = axeSource
		}
		b.forget()
		b.fits(t, base, address, http.StatusOK, source)
	}
}

// TestEveryPageIsSmallAccessibleAndWithinItsPolicy looks at every page that the console has, empty, full and in a
// storm, and where something is wrong. A page that no link leads to fails it.
func TestEveryPageIsSmallAccessibleAndWithinItsPolicy(t *testing.T) {
	t.Parallel()
	source, known := axe(t), knownPaths(t)
	c := startChromium(t)
	looked := map[string]bool{}
	look := func(t *testing.T, admin string, pages pageList) {
		pages.fit(t, c, admin, source)
		for path := range pages {
			looked[path] = true
		}
	}
	t.Run("empty", func(t *testing.T) {
		bridge := start(t, newServices(t, "#ops"), writeRules(t, browserRules), databases.File(t))
		pages := crawl(t, bridge.Admin, known, "/", "/?state=resolved", "/acknowledge")
		delete(pages, "/docs/:page") // they are the same in every state
		look(t, bridge.Admin, pages)
		b := c.tab(t)
		for address, status := range map[string]int64{"/nothing": 404, "/incidents/77": 404, "/?severity=terrible": 400} {
			b.forget()
			b.fits(t, bridge.Admin, address, status, source)
		}
	})
	t.Run("full", func(t *testing.T) {
		demo := openDemoPage(t)
		look(t, demo.admin, crawl(t, demo.admin, known, "/", "/?state=all", "/incidents/1/reopen", "/incidents/1/page"))
	})
	t.Run("storm", func(t *testing.T) {
		bridge := startStorm(t)
		pages := crawl(t, bridge.Admin, known, "/", "/?state=all&trouble=true", "/?before=1")
		delete(pages, "/docs/:page")
		for path, addresses := range pages { // each incident is like the other
			pages[path] = addresses[:min(mostOfAPathByAxe, len(addresses))]
		}
		look(t, bridge.Admin, pages)
	})
	t.Run("signed out", func(t *testing.T) {
		s := newServices(t, "#ops")
		s.env = append(s.env, "FLOWBRIDGE_ADMIN_TOKEN=token-of-the-test")
		bridge := start(t, s, writeRules(t, browserRules), databases.File(t))
		look(t, bridge.Admin, crawl(t, bridge.Admin, known, "/login?next=/incidents/1"))
	})
	for _, path := range known {
		if !looked[path] {
			t.Errorf("no link leads to %s", path)
		}
	}
}

// stormIncidents are how many are open in a storm.
const stormIncidents = 500

// startStorm runs a bridge with 500 incidents open, and a silence. Slack was told of none of them: it takes no messages
// in that channel.
func startStorm(t *testing.T) *process {
	t.Helper()
	s := newServices(t, "#elsewhere")
	s.PagerDuty.Fail(sandbox.Fault{Status: http.StatusServiceUnavailable})
	bridge := start(t, s, writeRules(t, browserRules), databases.File(t))
	for from := 0; from < stormIncidents; from += 100 {
		var entries []string
		for n := from; n < from+100; n++ {
			entries = append(entries, pairEntry(lately+int64(n), fmt.Sprintf("5550100%09d", n), router.Activated, 10))
		}
		bridge.post(t, postOf(entries...), http.StatusOK)
	}
	eventually(t, "all incidents are open, and the first delivery is parked", func() bool {
		var stats struct{ Incidents []struct{} }
		bridge.get(t, "/api/v1/incidents?state=open&limit=500", &stats)
		var parked struct{ Deliveries []struct{} }
		bridge.get(t, "/api/v1/deliveries?state=parked&limit=1", &parked)
		return len(stats.Incidents) == stormIncidents && len(parked.Deliveries) == 1
	})
	resp, err := http.Post(bridge.Admin+"/api/v1/silences", "application/json",
		strings.NewReader(`{"flow":"55501007","for":"1h","why":"a test","by":"Ada"}`))
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("a silence is answered %s", resp.Status)
	}
	return bridge
}

// TestTheDemosPageIsAccessibleAndWithinItsPolicy holds the page of the demo to the same, but for its size: it shows a
// whole day in three channels.
func TestTheDemosPageIsAccessibleAndWithinItsPolicy(t *testing.T) {
	t.Parallel()
	source := axe(t)
	demo := openDemoPage(t)
	b := startChromium(t).tab(t)
	b.look("light", 1280)
	b.open(demo.url)
	b.addAxe(source)
	b.holds(t, "the demo's page", true)
}
