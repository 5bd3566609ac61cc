package console

import (
	"fmt"
	"strings"
	"testing"

	"flowbridge/router"
)

// TestNoFlowIsLeftOutWithoutAWord holds that lists that are cut say so, and lead to the rest.
func TestNoFlowIsLeftOutWithoutAWord(t *testing.T) {
	s := glanceStore()
	s.seen, s.notices = nil, nil
	for i := range 130 {
		s.seen = append(s.seen, router.SeenFlow{FlowID: router.FlowID{WABA: fmt.Sprintf("w%d", i%65),
			Flow: fmt.Sprintf("7%03d", i)}, Active: 1, Severity: router.Critical, Last: at(5)})
	}
	c, _ := newConsole(t, Config{}, s)
	b, path, shown := newBrowser(t, c), "/flows", 0
	for _, want := range []string{"And 70 more", "And 10 more", ""} {
		resp, body := b.do("GET", path, nil)
		first := fmt.Sprintf(`<b>7%03d</b>`, shown)
		if resp.StatusCode != 200 || !strings.Contains(body, want) || !strings.Contains(body, first) || len(body) > 60<<10 {
			t.Errorf("%s: %s, %d bytes, want %q and %s\n%s", path, resp.Status, len(body), want, first, pageText(body))
		}
		for i := shown; i < min(shown+mostFlows, 130); i++ {
			if !strings.Contains(body, fmt.Sprintf(`/accounts/w%d"`, i%65)) ||
				!strings.Contains(body, fmt.Sprintf(`&#34;7%03d&#34;: {name`, i)) {
				t.Errorf("%s lacks the account of flow %d, or its name to paste", path, i)
			}
		}
		shown += mostFlows
		path = fmt.Sprintf("/flows?after=%d", shown)
		if more := strings.Contains(body, `href="`+path+`"`); more != (want != "") {
			t.Errorf("it leads to %s: %v", path, more)
		}
	}
	if _, body := b.do("GET", "/flows?after=900", nil); !strings.Contains(body, "That was all") {
		t.Errorf("past the last:\n%s", pageText(body))
	}
	for _, odd := range []string{"x", "-1", "99999999999999999999"} {
		if resp, _ := b.do("GET", "/flows?after="+odd, nil); resp.StatusCode != 400 {
			t.Errorf("after=%s: %s", odd, resp.Status)
		}
	}
	for i := range s.seen {
		s.seen[i].WABA = "w1"
	}
	if _, body := b.do("GET", "/accounts/w1", nil); !strings.Contains(body, `And 100 more: <a href="/?state=all&amp;waba=w1"`) ||
		!strings.Contains(body, "# and 70 more") || len(body) > 60<<10 {
		t.Errorf("of an account, %d bytes:\n%s", len(body), pageText(body))
	}
}
