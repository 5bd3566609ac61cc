package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHeadIsAnsweredAsGetIs(t *testing.T) {
	c, _ := newConsole(t, pagesConfig(), filledStore())
	server := httptest.NewServer(c)
	defer server.Close()
	for path, status := range map[string]int{"/healthz": 200, "/readyz": 200, "/": 200, "/incidents/42": 200,
		"/incidents/99": 404, "/incidents.csv": 200, "/docs/rules": 200, "/api/v1/incidents": 200,
		"/api/v1/openapi.json": 200, "/api/v1/incidents/42/resolve": 405} {
		var types []string
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body := text(t, resp)
			if resp.StatusCode != status || method == http.MethodHead && body != "" {
				t.Errorf("%s %s: %s, %q", method, path, resp.Status, body)
			}
			types = append(types, resp.Header.Get("Content-Type"))
		}
		if types[0] != types[1] {
			t.Errorf("%s: %q", path, types)
		}
	}
	if resp := ask(c, "DELETE", "/api/v1/incidents", ""); resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("allowed are %s", resp.Header.Get("Allow"))
	}
}

func TestAWeakTagIsTheSameForAPageThatHasNotChanged(t *testing.T) {
	c, _ := newConsole(t, pagesConfig(), filledStore())
	b := newBrowser(t, c)
	resp, _ := b.do("GET", "/", nil)
	etag := resp.Header.Get("ETag")
	for header, want := range map[string]int{etag: 304, "W/" + etag: 304, `"other", W/` + etag: 304, `W/"other"`: 200,
		strings.Trim(etag, `"`): 200, "": 200} {
		b.headers["If-None-Match"] = header
		if resp, _ := b.do("GET", "/", nil); resp.StatusCode != want {
			t.Errorf("If-None-Match %s: %s, want %d", header, resp.Status, want)
		}
	}
}

func TestAnAddressThatIsNearlyRightLeadsToThePage(t *testing.T) {
	for prefix, inside := range map[string]string{"": "", "/bridge": "/bridge"} {
		c, _ := newConsole(t, Config{Prefix: prefix}, filledStore())
		for path, want := range map[string]string{
			"/incidents": "/", "/incidents/": "/", "/incidents?state=all&q=a%26b": "/?state=all&q=a%26b", "/flows/": "/flows",
			"/incidents/42/": "/incidents/42", "/events/?q=x": "/events?q=x", "//evil.example/": "/evil.example",
			"/%5Cevil.example/": "/%5Cevil.example",
		} {
			resp := ask(c, "GET", inside+path, "")
			if got := resp.Header.Get("Location"); resp.StatusCode != 303 || got != inside+want {
				t.Errorf("%s%s: %s to %q, want %s%s", inside, path, resp.Status, got, inside, want)
			}
		}
		for _, path := range []string{"/nothing", "/api/v1/incidents/"} {
			if resp := ask(c, "GET", inside+path, ""); resp.StatusCode != 404 {
				t.Errorf("%s%s: %s", inside, path, resp.Status)
			}
		}
	}
}

func TestEveryListTakesAllStates(t *testing.T) {
	s := filledStore()
	c, _ := newConsole(t, Config{}, s)
	for _, path := range []string{"/deliveries", "/events", "/", "/api/v1/incidents", "/api/v1/events",
		"/api/v1/deliveries"} {
		if resp := ask(c, "GET", path+"?state=all", ""); resp.StatusCode != 200 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	for _, f := range s.deliveryFilters {
		if f.State != "" {
			t.Errorf("deliveries were asked for by %+v", f)
		}
	}
}

func TestTheDescriptionOfTheAPINamesThePrefix(t *testing.T) {
	for prefix, want := range map[string]string{"": `"servers": [{"url": "/"}]`,
		"/bridge": `"servers": [{"url": "/bridge"}]`} {
		c, _ := newConsole(t, Config{Prefix: prefix}, filledStore())
		if body := text(t, ask(c, "GET", prefix+"/api/v1/openapi.json", "")); !strings.Contains(body, want) {
			t.Errorf("%q: no %s in %.300s", prefix, want, body)
		}
	}
}
