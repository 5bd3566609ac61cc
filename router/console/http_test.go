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
