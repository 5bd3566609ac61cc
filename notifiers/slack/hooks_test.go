package slack

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox"
)

// TestNothingElseIsCalledOnTheWordOfARequest holds that the address of a request can lead to Slack and nowhere else.
func TestNothingElseIsCalledOnTheWordOfARequest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		api, address string
		want         bool
	}{
		{"https://slack.com/api/", "https://hooks.slack.com/actions/T1/2/3", true},
		{"https://slack.com/api/", "https://hooks.slack.com/commands/T1/2/3", true},
		{"https://slack-gov.com/api/", "https://hooks.slack-gov.com/actions/T1/2/3", true},
		{"https://slack.com/api/", "https://hooks.slack-gov.com/actions/T1/2/3", false},
		{"http://127.0.0.1:8080/api/", "http://127.0.0.1:8080/hooks/1", true},
		{"http://127.0.0.1:8080/api/", "http://127.0.0.1:8081/hooks/1", false},
		{"http://127.0.0.1:8080/api/", "https://127.0.0.1:8080/hooks/1", false},
		{"https://slack.com/api/", "http://hooks.slack.com/actions/T1/2/3", false},
		{"https://slack.com/api/", "https://hooks.slack.com.evil.example.com/", false},
		{"https://slack.com/api/", "https://hooks.slack.com@evil.example.com/", false},
		{"https://slack.com/api/", "https://x@hooks.slack.com/", false},
		{"https://slack.com/api/", "https://hooks.slack.com:8443/", false},
		{"https://slack.com/api/", "https://169.254.169.254/latest/meta-data", false},
		{"https://slack.com/api/", "file:///etc/passwd", false},
		{"https://slack.com/api/", "", false},
	} {
		api, err := url.Parse(test.api)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(test.address)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&hooks{api: api}).slacks(u); got != test.want {
			t.Errorf("%s with %s: %v, want %v", test.address, test.api, got, test.want)
		}
	}
}

func TestAnAddressThatLeadsElsewhereIsNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was followed") }))
	defer elsewhere.Close()
	there := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer there.Close()
	api, err := url.Parse(there.URL)
	if err != nil {
		t.Fatal(err)
	}
	err = (&hooks{client: newClient(hookTimeout), api: api}).send(t.Context(), there.URL+"/hooks/secret", "hello")
	if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("error %v", err)
	}
}

func TestATellingIsTriedTwice(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	d.card(acked())
	d.ledger.set(resolvedOne(), d.receipt)
	d.slack.Fail(sandbox.Fault{Method: "response_url", Status: http.StatusBadGateway, Times: 1})
	d.press(sandbox.Press{Action: "resolve"})
	d.told(1)
	d.slack.Fail(sandbox.Fault{Method: "response_url", Status: http.StatusBadGateway})
	d.press(sandbox.Press{Action: "resolve"})
	d.over(1)
	if !strings.Contains(d.log.String(), "could not be told") || strings.Contains(d.log.String(), "hooks/") {
		t.Errorf("the log says\n%s", &d.log)
	}
}
