package console

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"flowbridge/router"
)

func TestAPersonIsForgotten(t *testing.T) {
	s := &memStore{}
	c, logs := newConsole(t, Config{}, s)
	resp := ask(c, "POST", "/api/v1/forget", `{"phone":"+1 (555) 010-0200"}`)
	const want = `{"forgotten":{"events":2,"notices":1,"incidents":0,"timeline":0,"deliveries":0,"silences":0,"postponed":0,"audit":0,"attempts":0},` +
		`"told":[{"notifier":"chat","kind":"slack","incident":null,"notice":7,"link":"https://chat.example.com/m"}]}`
	if got := strings.TrimSpace(text(t, resp)); resp.StatusCode != http.StatusOK || got != want {
		t.Errorf("%s\n got %s\nwant %s", resp.Status, got, want)
	}
	if len(s.forgotten) != 1 || !s.forgotten[0].In("15550100200") {
		t.Errorf("asked to forget %+v", s.forgotten)
	}
	if !strings.Contains(logs.String(), "a person was forgotten") || strings.Contains(logs.String(), "0200") {
		t.Errorf("the log says %s", logs)
	}
	if len(s.audit) != 1 || s.audit[0].What != "forget a person" || s.audit[0].Result != "blanked" {
		t.Errorf("the audit has %+v", s.audit)
	}
	for body, status := range map[string]int{
		`{}`: 400, `{"phone":"12"}`: 400, `{"user":"ab"}`: 400, `{"phone":15550100200}`: 400, `{"name":"ana"}`: 400,
		`no JSON`: 400, ``: 400,
		`{"phone":"` + strings.Repeat("1", 5000) + `"}`: 413,
	} {
		if resp := ask(c, "POST", "/api/v1/forget", body); resp.StatusCode != status {
			t.Errorf("%.40s: %s %s", body, resp.Status, text(t, resp))
		}
	}
	s.fault = errors.New("the disk is gone")
	if resp := ask(c, "POST", "/api/v1/forget", `{"user":"US.1349"}`); resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("%s %s", resp.Status, text(t, resp))
	}
	c, _ = newConsole(t, Config{Token: "a token of the test"}, s)
	if resp := ask(c, "POST", "/api/v1/forget", `{"user":"US.1349"}`); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token: %s", resp.Status)
	}
}

func TestWhatIsReducedSaysWhy(t *testing.T) {
	s := &memStore{events: []router.JournalEvent{{Event: router.Event{Seq: 1, Name: router.FlowStatusChange,
		Reduced: router.ReducedDropped}, State: router.EventFolded},
		{Event: router.Event{Seq: 2, Name: "CALLS", Value: []byte(`{"from":"15550100200"}`)}, State: router.EventFolded}}}
	c, _ := newConsole(t, Config{}, s)
	if got := text(t, ask(c, "GET", "/api/v1/events/1", "")); !strings.Contains(got,
		`"reduced":"`+string(router.ReducedDropped)+`"`) {
		t.Errorf("got %s", got)
	}
	if got := text(t, ask(c, "GET", "/api/v1/events/2", "")); strings.Contains(got, "15550100200") {
		t.Errorf("what people wrote is shown: %s", got)
	}
}
